/**
 * llama.cpp as a child process: one JSON request a line on stdin, one JSON response a line on stdout, in order.
 * The settings are those that make the two engines comparable: CPU, float32 KV, no flash attention.
 */
import { createInterface } from 'node:readline';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

// More would wait for each other at every operator of a small model, for milliseconds where cores are shared.
const THREADS = 1;
const TOP = 20;
const WITH_LOGITS = { generateNext: { logits: true } };

const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: LlamaLogLevel.error });
/** By path and whether only the vocabulary is loaded: loading takes longer than most requests. */
const models = new Map();
/** By model and size. */
const sequences = new Map();

const operations = { tokenize, evaluate, generate, measure };

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line);
  let response;
  try {
    response = { result: await operations[op](request) };
  } catch (error) {
    response = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${JSON.stringify(response)}\n`);
}

async function tokenize({ model, texts, addSpecial, parseSpecial }) {
  const loaded = await modelAt(model, { vocabOnly: true });
  const start = addSpecial && loaded.tokens.shouldPrependBosToken ? [loaded.tokens.bos] : [];
  const end = addSpecial && loaded.tokens.shouldAppendEosToken ? [loaded.tokens.eos] : [];
  return texts.map((text) => [...start, ...loaded.tokenize(text, parseSpecial), ...end]);
}

/** What the model predicts at each position of a continuation that is given to it. */
async function evaluate({ model, promptIds, continuationIds }) {
  const sequence = await emptySequence(model, promptIds.length + continuationIds.length);
  const ids = [...promptIds, ...continuationIds].slice(0, -1);
  const outputs = await sequence.controlledEvaluate(
    ids.map((id, index) => (index < promptIds.length - 1 ? id : [id, WITH_LOGITS])),
  );
  const predicting = outputs.slice(promptIds.length - 1);
  return continuationIds.map((id, index) => {
    const logProbabilities = logSoftmax(predicting[index].next.logits);
    return { ...prediction(logProbabilities), forced: { id, logProbability: logProbabilities.get(id) } };
  });
}

/** Greedy decoding, past the end of generation too. */
async function generate({ model, promptIds, count }) {
  const sequence = await emptySequence(model, promptIds.length + count);
  const predictions = [];
  let input = promptIds;
  while (predictions.length < count) {
    const outputs = await sequence.controlledEvaluate([...input.slice(0, -1), [input.at(-1), WITH_LOGITS]]);
    predictions.push(prediction(logSoftmax(outputs.at(-1).next.logits)));
    input = [predictions.at(-1).id];
  }
  return predictions;
}

/** Milliseconds from the start to each of `count` greedy tokens, with the settings a user gets: float16 KV. */
async function measure({ model, promptIds, count, threads }) {
  const sequence = await measuredSequence(model, threads);
  await sequence.clearHistory();
  const started = performance.now();
  const times = [];
  for await (const _token of sequence.evaluate(promptIds, { temperature: 0, yieldEogToken: true })) {
    times.push(performance.now() - started);
    if (times.length === count) break;
  }
  return times;
}

async function measuredSequence(modelPath, threads) {
  const key = `${modelPath}\n${threads} threads`;
  if (!sequences.has(key)) {
    const model = await modelAt(modelPath);
    const context = await model.createContext({ contextSize: 2560, batchSize: 512, threads, flashAttention: false });
    sequences.set(key, context.getSequence());
  }
  return sequences.get(key);
}

/** The engine gives probabilities in float32 only; raw logits and float64 keep the gaps between them exact. */
function logSoftmax(logits) {
  const highest = Math.max(...logits.values());
  let total = 0;
  for (const logit of logits.values()) total += Math.exp(logit - highest);
  const logTotal = highest + Math.log(total);
  return new Map([...logits].map(([id, logit]) => [id, logit - logTotal]));
}

/** The best token, how far the second best is behind it, and the best of the distribution. */
function prediction(logProbabilities) {
  const top = [...logProbabilities]
    .map(([id, logProbability]) => ({ id, logProbability }))
    .sort((a, b) => b.logProbability - a.logProbability || a.id - b.id)
    .slice(0, TOP);
  return { id: top[0].id, gap: top[0].logProbability - top[1].logProbability, top };
}

async function modelAt(modelPath, { vocabOnly } = { vocabOnly: false }) {
  const key = `${modelPath}\n${vocabOnly}`;
  if (!models.has(key)) models.set(key, await llama.loadModel({ modelPath, vocabOnly, gpuLayers: 0 }));
  return models.get(key);
}

async function emptySequence(modelPath, tokens) {
  const contextSize = Math.max(512, tokens);
  const key = `${modelPath}\n${contextSize}`;
  if (!sequences.has(key)) {
    const model = await modelAt(modelPath);
    const context = await model.createContext({
      contextSize,
      threads: THREADS,
      flashAttention: false,
      experimentalKvCacheKeyType: 'F32',
      experimentalKvCacheValueType: 'F32',
    });
    sequences.set(key, context.getSequence());
  }
  const sequence = sequences.get(key);
  await sequence.clearHistory();
  return sequence;
}
