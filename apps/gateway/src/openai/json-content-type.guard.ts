import { Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import type { FastifyRequest } from 'fastify';

/** Nest also parses forms, which is what `curl -d` sends without a header: that must not look like a strange JSON body. */
@Injectable()
export class JsonContentTypeGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const contentType = context.switchToHttp().getRequest<FastifyRequest>().headers['content-type'];
    if (contentType !== undefined && /^application\/json\s*(;|$)/i.test(contentType)) return true;
    const given = contentType === undefined ? 'is missing' : `is '${contentType}'`;
    throw new PangalacticError(
      'unsupported_media_type',
      `The Content-Type header ${given}; it must be 'application/json'.`,
    );
  }
}
