export { type ChatMessage, ChatTemplate, type RenderOptions, type TemplateVariables } from './chat/chat-template';
export { type Conversation, encodeChat } from './chat/encode-chat';
export { type EncodeOptions, ModelTokenizer } from './model-tokenizer';
export { runToEnd, type Steps } from './steps';
export { StreamDetokenizer } from './stream-detokenizer';
