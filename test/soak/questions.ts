import type OpenAI from 'openai';
import type { Question } from '../cluster/openai-client';

const SYSTEM_PROMPTS = [
  undefined,
  'You are a kind teacher. Answer every question with a short story for children, in simple words, and end it well.',
  'You are the captain of a small ship. You know the sea, the wind and the stars, and you like to tell how you found your way home.',
];
const SUBJECTS = ['fox', 'dog', 'cat', 'star', 'bird', 'king', 'boat', 'robot'];
const FOLLOW_UPS = ['Tell me more.', 'And what happened then?', 'Now tell me about a tree.'];

/** The first turns of conversations: with and without a system prompt, greedy and sampled, short and long. */
export function openingQuestions(): Question[] {
  return SYSTEM_PROMPTS.flatMap((system, group) =>
    SUBJECTS.map((subject, index): Question => {
      const user = { role: 'user' as const, content: `Tell me a story about a ${subject}.` };
      return {
        messages: system === undefined ? [user] : [{ role: 'system', content: system }, user],
        temperature: (group + index) % 2 === 0 ? 0 : 0.8,
        seed: 1_000 * group + index,
        maxTokens: [6, 30, 60, 100][index % 4]!,
      };
    }),
  );
}

/** The next turn of a conversation, whose prompt begins with all that the first one computed. */
export function nextTurn(question: Question, answer: string, index: number): Question {
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    ...question.messages,
    { role: 'assistant', content: answer },
    { role: 'user', content: FOLLOW_UPS[index % FOLLOW_UPS.length]! },
  ];
  return { ...question, messages, maxTokens: 20 + (index % 3) * 20 };
}
