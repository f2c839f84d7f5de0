export { type ChatMessage, ChatTemplate, type RenderOptions } from './chat/chat-template';
export { encodeChat } from './chat/encode-chat';
export { type EncodeOptions, ModelTokenizer } from './model-tokenizer';
export { runToEnd, type Steps } from './steps';
export { StreamDetokenizer } from './stream-detokenizer';
