import type { PriceTier } from "./prices.ts";

/**
 * List prices of Alibaba Cloud Bailian (DashScope) as published in May 2026 for mainland China, CNY per one million tokens.
 * A tier published as "up to 128K" ends at 128,000 input tokens, so that the next begins at 128,001.
 * `contextWindow` is where the last published tier ends: what a longer call costs is not published.
 */
export const DASHSCOPE_MODELS: Record<string, { contextWindow?: number; tiers: PriceTier[] }> = {
  "qwen-turbo": { tiers: [{ minInputTokens: 0, inputRate: "0.3", outputRate: "0.6" }] },
  "qwen-plus": { contextWindow: 128_000, tiers: [{ minInputTokens: 0, inputRate: "0.8", outputRate: "2" }] },
  "qwen-max": { tiers: [{ minInputTokens: 0, inputRate: "2.4", outputRate: "9.6" }] },
  "qwen-long": { tiers: [{ minInputTokens: 0, inputRate: "0.5", outputRate: "2" }] },
  "qwen3-max": {
    contextWindow: 256_000,
    tiers: [
      { minInputTokens: 0, inputRate: "2.5", outputRate: "10" },
      { minInputTokens: 32_001, inputRate: "4", outputRate: "16" },
      { minInputTokens: 128_001, inputRate: "7", outputRate: "28" },
    ],
  },
  "qwen3.5-plus": {
    contextWindow: 256_000,
    tiers: [
      { minInputTokens: 0, inputRate: "0.8", outputRate: "4.8" },
      { minInputTokens: 128_001, inputRate: "2", outputRate: "12" },
    ],
  },
  "qwen3.6-plus": { contextWindow: 256_000, tiers: [{ minInputTokens: 0, inputRate: "2", outputRate: "12" }] },
};
