import { DASHSCOPE_MODELS } from "./dashscope.ts";

export type SeedProvider = { name: string; displayName: string; baseUrl: string; endpoints: string[] };
export type SeedTarget = { provider: string; upstreamModel: string };
export type SeedModel = {
  name: string;
  ownedBy: string;
  endpoints: string[];
  targets: SeedTarget[];
  contextWindow?: number;
};

export const PROVIDERS: SeedProvider[] = [
  {
    name: "dashscope",
    displayName: "Alibaba Cloud Bailian",
    baseUrl: "https://dashscope.aliyuncs.com/compatible-mode/v1",
    endpoints: ["chat/completions", "embeddings"],
  },
  {
    name: "openai",
    displayName: "OpenAI",
    baseUrl: "https://api.openai.com/v1",
    endpoints: [
      "chat/completions",
      "completions",
      "embeddings",
      "responses",
      "images/generations",
      "audio/speech",
      "audio/transcriptions",
    ],
  },
  {
    name: "anthropic",
    displayName: "Anthropic",
    baseUrl: "https://api.anthropic.com/v1",
    endpoints: ["chat/completions", "messages"],
  },
];

/**
 * The backups of the Qwen models: of like size, and taking the parameters that a call to Qwen may carry. Newer ones refuse
 * max_tokens or temperature with a 400, on which no call goes on to the next target.
 */
const QWEN_BACKUPS: Record<string, { openai: string; anthropic: string }> = {
  "qwen-turbo": { openai: "gpt-4.1-nano", anthropic: "claude-haiku-4-5" },
  "qwen-plus": { openai: "gpt-4.1-mini", anthropic: "claude-haiku-4-5" },
  "qwen-max": { openai: "gpt-4.1", anthropic: "claude-sonnet-4-6" },
  "qwen-long": { openai: "gpt-4.1-mini", anthropic: "claude-sonnet-4-6" },
  "qwen3-max": { openai: "gpt-4.1", anthropic: "claude-sonnet-4-6" },
  "qwen3.5-plus": { openai: "gpt-4.1-mini", anthropic: "claude-haiku-4-5" },
  "qwen3.6-plus": { openai: "gpt-4.1", anthropic: "claude-sonnet-4-6" },
};

const OPENAI_CHAT_MODELS = [
  "gpt-6-sol",
  "gpt-6-luna",
  "gpt-6-astra",
  "gpt-5.6-sol",
  "gpt-5.6-terra",
  "gpt-5.6-luna",
  "gpt-5.5",
  "gpt-5.4",
  "gpt-5.4-mini",
  "gpt-5.4-nano",
  "gpt-5",
  "gpt-5-mini",
  "gpt-5-nano",
  "gpt-4.1",
  "gpt-4.1-mini",
  "gpt-4.1-nano",
  "gpt-4o",
  "gpt-4o-mini",
];

const ANTHROPIC_MODELS = [
  "claude-fable-5-1",
  "claude-opus-5-5",
  "claude-opus-5",
  "claude-opus-4-8",
  "claude-sonnet-5",
  "claude-sonnet-4-6",
  "claude-haiku-4-5",
];

function ofProvider(provider: string, endpoints: string[], names: string[]): SeedModel[] {
  return names.map((name) => ({ name, ownedBy: provider, endpoints, targets: [{ provider, upstreamModel: name }] }));
}

export const MODELS: SeedModel[] = [
  ...Object.entries(DASHSCOPE_MODELS).map(([name, { contextWindow }]) => ({
    name,
    ownedBy: "alibaba",
    endpoints: ["chat/completions"],
    targets: [
      { provider: "dashscope", upstreamModel: name },
      ...Object.entries(QWEN_BACKUPS[name] ?? {}).map(([provider, upstreamModel]) => ({ provider, upstreamModel })),
    ],
    ...(contextWindow && { contextWindow }),
  })),
  ...ofProvider("openai", ["chat/completions", "responses"], OPENAI_CHAT_MODELS),
  ...ofProvider("openai", ["chat/completions"], ["gpt-audio"]),
  ...ofProvider("openai", ["embeddings"], ["text-embedding-3-small", "text-embedding-3-large"]),
  ...ofProvider("openai", ["images/generations"], ["gpt-image-2"]),
  ...ofProvider("openai", ["audio/transcriptions"], ["gpt-transcribe", "whisper-1"]),
  ...ofProvider("anthropic", ["chat/completions", "messages"], ANTHROPIC_MODELS),
];

/**
 * Examples of the order of magnitude of May 2026, not quotations. Set your own with api.set_exchange_rate: what a call to a
 * provider billed in another currency is charged depends on them.
 */
export const EXCHANGE_RATES = [
  { base: "USD", quote: "CNY", rate: "7.1" },
  { base: "CNY", quote: "USD", rate: "0.1408450704" },
];
