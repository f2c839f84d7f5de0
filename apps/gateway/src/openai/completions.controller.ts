import { Body, Controller, HttpCode, Post, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { CompletionResponder } from './completion-responder';
import { JsonContentTypeGuard } from './json-content-type.guard';
import { parseCompletionRequest } from './requests/completion-request';
import { TEXT_SHAPE } from './responses/text-shape';

@Controller('v1/completions')
@UseGuards(JsonContentTypeGuard)
export class CompletionsController {
  constructor(private readonly responder: CompletionResponder) {}

  @Post()
  @HttpCode(200)
  async create(@Body() body: unknown, @Res() reply: FastifyReply): Promise<void> {
    const { prompt, ...options } = parseCompletionRequest(body);
    await this.responder.respond(reply, TEXT_SHAPE, options, prompt);
  }
}
