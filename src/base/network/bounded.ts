/**
 * Reads a body to its end or to a limit, and never rejects.
 *
 * @returns the bytes so far, and `whole: false` for a body that is too long, breaks off or does not decompress
 */
export async function readBounded(
  body: ReadableStream<Uint8Array> | null,
  bytesMax: number,
): Promise<{ bytes: Buffer; whole: boolean }> {
  const chunks: Uint8Array[] = [];
  let room = bytesMax;
  const reader = body?.getReader();
  try {
    for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
      chunks.push(read.value.subarray(0, room));
      room -= read.value.length;
      if (room >= 0) continue;
      // Not awaited: a peer that keeps sending must not delay the caller.
      reader?.cancel().catch(() => {});
      return { bytes: Buffer.concat(chunks), whole: false };
    }
    return { bytes: Buffer.concat(chunks), whole: true };
  } catch {
    return { bytes: Buffer.concat(chunks), whole: false };
  }
}
