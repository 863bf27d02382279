// A file on a web server, read in parts by range requests.

/** No request is larger. */
export const kMostRequestBytes = 64 * 2 ** 20;
const kTries = 3;

export class RangeFile {
  private constructor(
    readonly url: string,
    readonly bytes: number,
    private readonly tag: string | null,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Asks for the first bytes of the file (all of it where it is shorter). */
  static async open(url: string, firstBytes: number, signal?: AbortSignal): Promise<{ file: RangeFile; start: Uint8Array<ArrayBuffer> }> {
    const response = await request(url, 0, firstBytes, signal);
    const total = totalBytes(response) ?? await askForSize(url, signal);
    const file = new RangeFile(url, total, response.headers.get("ETag"), signal);
    const wanted = Math.min(firstBytes, total);
    const start = await body(response);
    if (start.length !== wanted) throw new Error(`${url}: the server sent ${start.length} bytes where ${wanted} were asked for`);
    return { file, start };
  }

  /** Bytes [begin, end); tries again when a connection breaks. */
  async read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (end > this.bytes) throw new Error(`${this.url}: bytes up to ${end} are needed, the file has ${this.bytes}: it is truncated`);
    const whole = new Uint8Array(end - begin);
    for (let at = begin; at < end; at += kMostRequestBytes) {
      const part = await this.readPart(at, Math.min(end, at + kMostRequestBytes));
      whole.set(part, at - begin);
    }
    return whole;
  }

  private async readPart(begin: number, end: number): Promise<Uint8Array> {
    let problem = "";
    for (let attempt = 0; attempt < kTries; attempt++) {
      this.signal?.throwIfAborted();
      if (attempt > 0) await new Promise((done) => setTimeout(done, 300 * attempt));
      try {
        const response = await request(this.url, begin, end - begin, this.signal);
        const total = totalBytes(response);
        if ((total !== undefined && total !== this.bytes) || response.headers.get("ETag") !== this.tag)
          throw new FinalError(`${this.url}: the file changed while it was downloaded`);
        const bytes = await body(response);
        if (bytes.length === end - begin) return bytes;
        problem = `the server sent ${bytes.length} bytes`;
      } catch (error) {
        this.signal?.throwIfAborted();
        if (error instanceof FinalError) throw error;
        problem = error instanceof Error ? error.message : String(error);
      }
    }
    throw new Error(`${this.url}: the download of bytes ${begin} to ${end - 1} broke off ${kTries} times (${problem})`);
  }
}

/** What trying again does not mend. */
class FinalError extends Error {}

async function request(url: string, begin: number, count: number, signal: AbortSignal | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { Range: `bytes=${begin}-${begin + count - 1}` }, ...(signal ? { signal } : {}) });
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${url}: no answer (${error instanceof Error ? error.message : String(error)}); is the server there, and does it allow pages of ${location.origin}?`);
  }
  if (response.status === 206) return response;
  void response.body?.cancel();
  if (response.status === 404) throw new FinalError(`${url}: there is no such file on the server (HTTP 404)`);
  if (response.status === 200)
    throw new FinalError(`${url}: the server does not support range requests (it answered with the whole file); serve the model from one that does`);
  if (response.status >= 500) throw new Error(`${url}: HTTP ${response.status}`);
  throw new FinalError(response.status === 416 ? `${url}: the file is empty` : `${url}: HTTP ${response.status}`);
}

// A response that ends early makes arrayBuffer() fail or comes out short.
async function body(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await response.arrayBuffer());
}

function totalBytes(response: Response): number | undefined {
  const found = /\/(\d+)\s*$/.exec(response.headers.get("Content-Range") ?? "");
  return found ? Number(found[1]) : undefined;   // other origins show it only where they expose the header
}

async function askForSize(url: string, signal: AbortSignal | undefined): Promise<number> {
  const response = await fetch(url, { method: "HEAD", ...(signal ? { signal } : {}) });
  const length = response.headers.get("Content-Length");
  if (!response.ok || length === null || response.headers.get("Content-Encoding"))
    throw new Error(`${url}: the server does not say how large the file is; from another origin it has to expose Content-Range`);
  return Number(length);
}
