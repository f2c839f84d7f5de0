import { GgufFile } from '@pangalactic/models';
import { encodeMetadata, texts, type TensorSource, writeGguf } from '@pangalactic/testing';

/** Magic, version and the two counts, in front of the metadata. */
const FIXED_BYTES = 24;

/** A copy of a model whose header has so many mebibytes more than the original. */
export async function writeWithLargeHeader(source: string, target: string, mebibytes: number): Promise<void> {
  const file = await GgufFile.open(source);
  try {
    const { header, headerBytes } = file;
    const padding = encodeMetadata({ 'test.padding': texts(Array<string>(mebibytes).fill('x'.repeat(2 ** 20))) });
    const metadata = {
      entries: header.metadata.size + 1,
      bytes: Buffer.concat([headerBytes.subarray(FIXED_BYTES, header.tableOffset), padding]),
    };
    const tensors = [...header.tensors.values()].map(({ name, type, shape }): TensorSource => ({
      name,
      type,
      shape,
      chunks: async function* () {
        yield await file.readTensor(name);
      },
    }));
    await writeGguf(target, metadata, tensors);
  } finally {
    await file.close();
  }
}
