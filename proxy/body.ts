import type { IncomingMessage } from "node:http";
import { ApiError } from "./errors.ts";

/** How much of a body that is too large is still read and thrown away, so that its sender gets to read the answer. */
const DISCARD_BYTES = 67_108_864;

/**
 * Watches a body as it arrives; the caller reads it.
 *
 * @param exceeded called at each chunk beyond the limit. The connection is cut when the client goes on and on.
 */
export function limitBody(req: IncomingMessage, limit: number, exceeded: (error: ApiError) => void): void {
  const tooLarge = () => new ApiError(413, "request_too_large", `The request body is larger than ${limit} bytes.`);
  let bytes = 0;
  req.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limit + DISCARD_BYTES) req.destroy();
    else if (bytes > limit) exceeded(tooLarge());
  });
  if (Number(req.headers["content-length"]) > limit) exceeded(tooLarge());
}

/**
 * Reads a request's body into memory, up to a limit.
 *
 * @throws ApiError 413 `request_too_large`, 400 `client_closed` when the client left before the end
 */
export function readBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] | null = [];
    req.on("data", (chunk: Buffer) => chunks?.push(chunk));
    limitBody(req, limit, (error) => {
      chunks = null;
      reject(error);
    });
    req.on("end", () => {
      resolve(Buffer.concat(chunks ?? []));
      chunks = null;
    });
    req.on("close", () => {
      // Making an error costs more than all else here.
      if (!req.readableEnded)
        reject(new ApiError(400, "client_closed", "The request ended before its body was complete."));
    });
  });
}
