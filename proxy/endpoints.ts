/** The AI endpoints: the path below /v1, and the name by which the database knows them. */
export const ENDPOINTS = [
  "chat/completions",
  "completions",
  "embeddings",
  "responses",
  "messages",
  "images/generations",
  "audio/speech",
  "audio/transcriptions",
] as const;

export type Endpoint = (typeof ENDPOINTS)[number];
