import { SetMetadata } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';

const PUBLIC = 'pangalactic:public';

/** A controller or route that needs no key and counts against no limit: health and metrics. */
export const Public = () => SetMetadata(PUBLIC, true);

export function isPublic(context: ExecutionContext, reflector: Reflector): boolean {
  return reflector.getAllAndOverride<boolean | undefined>(PUBLIC, [context.getHandler(), context.getClass()]) === true;
}
