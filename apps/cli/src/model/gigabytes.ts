/** As publishers of files count: 10^9 bytes. */
export function gigabytes(bytes: number): string {
  const value = bytes / 1e9;
  return `${value.toFixed(value >= 10 ? 1 : 2)} GB`;
}
