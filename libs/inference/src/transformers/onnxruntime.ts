/** The only import of onnxruntime-node: what has to happen before it loads happens here. */
import './disable-telemetry';
export { InferenceSession, Tensor } from 'onnxruntime-node';
