/** A binary heap of numbers: the smallest comes out first. */
export class MinHeap {
  private readonly heap: number[] = [];

  push(value: number): void {
    const { heap } = this;
    let hole = heap.length;
    heap.push(value);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (heap[parent]! <= value) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = value;
  }

  pop(): number | undefined {
    const { heap } = this;
    const smallest = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return smallest;

    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (last <= heap[child]!) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = last;
    return smallest;
  }
}
