import type { Endpoint } from "./endpoints.ts";
import { arrayOf, type JsonObject, objectOf } from "./json.ts";

/** What a call uses beside tokens. */
export type Units = {
  images: number;
  image_size: string | null;
  image_quality: string | null;
  /** Of text to be spoken. */
  characters: number;
  /** Of audio to be transcribed. */
  seconds: number;
};

export const NO_UNITS: Units = { images: 0, image_size: null, image_quality: null, characters: 0, seconds: 0 };

/** The units that a JSON request asks for. */
export function requestedUnits(endpoint: Endpoint, body: JsonObject): Units {
  if (endpoint === "images/generations") {
    const images = Number.isSafeInteger(body.n) ? Math.max(1, body.n as number) : 1;
    return { ...NO_UNITS, images, ...imageKind(body) };
  }
  if (endpoint === "audio/speech") return { ...NO_UNITS, characters: charactersOf(body.input) };
  return NO_UNITS;
}

/** The units that a JSON answer, or the event that completes one, says it took. Null: it does not say. */
export type AnsweredUnits = Pick<Units, "images" | "image_size" | "image_quality"> & { seconds: number | null };

export const NO_ANSWERED_UNITS: AnsweredUnits = { images: 0, image_size: null, image_quality: null, seconds: null };

export function answeredUnits(endpoint: Endpoint, body: JsonObject): AnsweredUnits {
  if (endpoint === "images/generations") {
    const images = body.type === "image_generation.completed" ? 1 : arrayOf(body.data).length;
    return { images, ...imageKind(body), seconds: null };
  }
  if (endpoint === "audio/transcriptions") {
    return { ...NO_ANSWERED_UNITS, seconds: duration(objectOf(body.usage).seconds) ?? duration(body.duration) };
  }
  return NO_ANSWERED_UNITS;
}

function imageKind({ size, quality }: JsonObject): Pick<Units, "image_size" | "image_quality"> {
  const name = (value: unknown) => (typeof value === "string" && /^[\w.:* -]{1,50}$/.test(value) ? value : null);
  return { image_size: name(size), image_quality: name(quality) };
}

function charactersOf(text: unknown): number {
  if (typeof text !== "string") return 0;
  let characters = 0;
  for (const _ of text) characters += 1;
  return characters;
}

/** Some providers write it as a string. */
function duration(value: unknown): number | null {
  const seconds = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}

/** What speech is usually compressed to: 64 kbit/s. */
const BYTES_PER_SECOND = 8_000;
const WAV_HEADER_BYTES = 44;

/** How long a file of sound plays: exact for WAV, by the size of any other. */
export async function estimateSeconds(file: Blob): Promise<number> {
  const head = Buffer.from(await file.slice(0, WAV_HEADER_BYTES).arrayBuffer());
  const isWav = head.length === WAV_HEADER_BYTES && /^RIFF.{4}WAVEfmt $/s.test(head.toString("latin1", 0, 16));
  if (!isWav) return file.size / BYTES_PER_SECOND;
  // Not the rate of bytes that the header tells: what plays the file goes by these three.
  const bytesPerSecond = (head.readUInt16LE(22) * head.readUInt32LE(24) * head.readUInt16LE(34)) / 8;
  return file.size / (bytesPerSecond || BYTES_PER_SECOND);
}
