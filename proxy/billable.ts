import type { Endpoint } from "./endpoints.ts";
import type { Grant } from "./gateway.ts";
import type { AiRequest } from "./request.ts";
import type { Text } from "./text.ts";
import { countTokens } from "./tokenizer.ts";
import type { AnsweredUnits } from "./units.ts";
import { NO_USAGE, plausible, type ReportedUsage, type Usage } from "./usage.ts";

/** What came back of a call. */
export type Answer = {
  reported: ReportedUsage | null;
  units: AnsweredUnits;
  text: Text;
  /** Of the answer, whatever it is made of. */
  bytes: number;
};

type Call = {
  endpoint: Endpoint;
  request: Pick<AiRequest, "prompt" | "units" | "maxOutputTokens" | "choices">;
  grant: Pick<Grant, "max_output_tokens" | "context_window">;
};

/** What to bill: what was reported, and what was not, counted from what was really sent and received. */
export async function billableUsage(call: Call, answer: Answer): Promise<Usage & { estimated: boolean }> {
  const { reported, units } = answer;
  // Speech and transcription by the second are charged by units alone, and no provider reports tokens beside them.
  const isCounted = call.endpoint === "audio/speech" || units.seconds !== null;
  const usage = {
    ...NO_USAGE,
    ...reported,
    input_tokens: reported?.input_tokens ?? (isCounted ? 0 : await countInput(call)),
    output_tokens: reported?.output_tokens ?? (isCounted ? 0 : await countOutput(call, answer)),
    ...usedUnits(call, answer),
  };
  const estimated = !isCounted && (reported?.input_tokens == null || reported.output_tokens == null);
  return { ...plausible(usage), estimated };
}

function usedUnits({ endpoint, request }: Call, { reported, units, text, bytes }: Answer): Partial<Usage> {
  if (endpoint === "audio/speech") return { characters: bytes > 0 ? request.units.characters : 0 };
  if (endpoint === "audio/transcriptions") {
    const isUnknown = reported === null && text.bytes > 0;
    return { seconds: units.seconds ?? (isUnknown ? request.units.seconds : 0) };
  }
  if (units.images === 0) return {};
  return {
    images: units.images,
    image_size: units.image_size ?? request.units.image_size,
    image_quality: units.image_quality ?? request.units.image_quality,
  };
}

async function countInput({ request, grant }: Call): Promise<number> {
  const tokens = request.prompt.otherTokens + (await countTokens(request.prompt.text));
  return Math.min(tokens, grant.context_window ?? Number.POSITIVE_INFINITY);
}

async function countOutput({ request, grant }: Call, { text }: Answer): Promise<number> {
  return Math.min(
    await countTokens(text),
    text.bytes,
    request.maxOutputTokens ?? Number.POSITIVE_INFINITY,
    (grant.max_output_tokens ?? Number.POSITIVE_INFINITY) * request.choices,
  );
}
