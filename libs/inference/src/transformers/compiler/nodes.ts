import type { ModelDescription } from '@pangalactic/models';
import type { GraphBuilder } from '../onnx/graph-builder';
import type { LinearNodes } from './linear-nodes';

/** What a layer's operators depend on. */
export type LayerModel = Pick<ModelDescription, 'architecture' | 'heads' | 'kvHeads' | 'headSize' | 'rmsEpsilon'>;

/** What the parts of a shard's graph are added with. */
export interface Nodes {
  readonly graph: GraphBuilder;
  readonly linears: LinearNodes;
  readonly model: LayerModel;
}

/** Root mean square norm of the last dimension. @param gain names the weight */
export function addNorm({ graph, model }: Nodes, gain: string, input: string): string {
  const output = `${gain}.out`;
  graph.node('SimplifiedLayerNormalization', {
    inputs: [input, gain],
    outputs: [output],
    ints: { axis: -1 },
    floats: { epsilon: model.rmsEpsilon },
  });
  return output;
}
