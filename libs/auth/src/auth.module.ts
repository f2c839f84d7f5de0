import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ApiKeyGuard } from './api-key.guard';
import { AUTH_OPTIONS } from './auth-options';
import type { AuthOptions } from './auth-options';
import { RateLimitGuard } from './rate-limit/rate-limit.guard';
import { RATE_LIMITER } from './rate-limit/rate-limiter';
import type { RateLimiter } from './rate-limit/rate-limiter';

/** Puts both guards in front of every HTTP route that is not @Public(). */
@Module({})
export class AuthModule {
  static forRoot(options: AuthOptions, createLimiter: () => RateLimiter): DynamicModule {
    return {
      module: AuthModule,
      providers: [
        { provide: AUTH_OPTIONS, useValue: options },
        { provide: RATE_LIMITER, useFactory: createLimiter },
        // In this order: limits are counted per accepted key.
        { provide: APP_GUARD, useClass: ApiKeyGuard },
        { provide: APP_GUARD, useClass: RateLimitGuard },
      ],
    };
  }
}
