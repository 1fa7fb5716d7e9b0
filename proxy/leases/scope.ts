import { hash } from "node:crypto";
import type { AuthorizeRequest } from "../gateway.ts";

const SMALLEST = 16;

/** The request with its sizes rounded up to powers of two, so that a lease made for it covers others like it. */
export function withRoundedSizes(request: AuthorizeRequest): AuthorizeRequest {
  return {
    ...request,
    input_tokens: roundUp(request.input_tokens),
    max_output_tokens: request.max_output_tokens && roundUp(request.max_output_tokens),
  };
}

/**
 * Which calls may use one lease: those of one key, model and endpoint whose sizes round to the same. Without an output
 * limit of the caller's own the database sets one, so these are apart from the others.
 */
export function scopeOf(request: AuthorizeRequest): string {
  const { virtual_key, model, endpoint, input_tokens, max_output_tokens } = withRoundedSizes(request);
  return hash("sha256", JSON.stringify([virtual_key, model, endpoint, input_tokens, max_output_tokens]), "base64url");
}

/** Only calls that are measured in tokens alone can stand for each other. */
export function canShare({ units }: AuthorizeRequest): boolean {
  return Object.values(units).every((quantity) => quantity === 0 || quantity === null);
}

function roundUp(tokens: number): number {
  if (tokens === 0) return 0;
  return Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(tokens)));
}
