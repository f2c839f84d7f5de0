import { Body, Controller, HttpCode, Post, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { CompletionResponder } from './completion-responder';
import { JsonContentTypeGuard } from './json-content-type.guard';
import { parseChatRequest } from './requests/chat-request';
import { CHAT_SHAPE } from './responses/chat-shape';

@Controller('v1/chat/completions')
@UseGuards(JsonContentTypeGuard)
export class ChatCompletionsController {
  constructor(private readonly responder: CompletionResponder) {}

  @Post()
  @HttpCode(200)
  async create(@Body() body: unknown, @Res() reply: FastifyReply): Promise<void> {
    const { messages, variables, ...options } = parseChatRequest(body);
    await this.responder.respond(reply, CHAT_SHAPE, options, { kind: 'chat', messages, variables });
  }
}
