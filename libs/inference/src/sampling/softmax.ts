/**
 * softmax(logits / temperature), [vocab] float32 both. What it returns is valid until the next call; the logits are left as
 * they are.
 */
export type Softmax = (logits: Float32Array, temperature: number) => Promise<Float32Array>;
