// Models of a test's own, made as an operator makes them: by the platform admin, over the REST API.
import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import { admin, rpc } from "./calls.ts";

export type TestTarget = {
  /** The protocol the provider speaks, and the face of the demo provider that serves it. */
  protocol?: "openai" | "dashscope" | "anthropic";
  /** Steers the demo provider: see stack/provider/behaviour.ts. */
  upstreamModel?: string;
  /** Instead of the demo provider's. */
  baseUrl?: string;
  position?: number;
  weight?: number;
  /** Prices of one million tokens, as strings; tiers by `min_input_tokens`. Empty: the target has no price. */
  rates?: Record<string, string | number | object>[];
};

export type CreatedModel = { model: string; providers: string[] };

/** One price for all text tokens, in the currency of the default tenant; other units are priced at nothing. */
export const TEST_RATE = {
  input_rate: "1000",
  output_rate: "2000",
  currency: "CNY",
  character_rate: "0",
  second_rate: "0",
  image_rates: [{ rate: "0" }],
};

/** Makes a model with a provider, a provider key, a target and prices for each of `targets`; by default one that works. */
export async function createModel(
  targets: TestTarget[] = [{}],
  settings: { endpoints?: string[]; max_output_tokens?: number; is_active?: boolean } = {},
): Promise<CreatedModel> {
  const operator = await admin();
  const id = randomUUID().slice(0, 8);
  const model = `test-${id}`;
  const endpoints = settings.endpoints ?? ["chat/completions"];
  await rpc(operator, "set_model", { name: model, ...settings, endpoints });
  const made = await Promise.all(
    targets.map(async ({ protocol = "openai", upstreamModel, baseUrl, position, weight, rates }, index) => {
      const provider = `${model}-${index}`;
      const upstream_model = upstreamModel ?? model;
      await rpc(operator, "set_provider", {
        name: provider,
        portkey_provider: protocol,
        endpoints,
        base_url: baseUrl ?? `${inject("stack").provider_url}/${protocol}/v1`,
      });
      await rpc(operator, "set_provider_key", { provider, label: "test", secret: `sk-${provider}` });
      for (const rate of rates ?? [TEST_RATE])
        await rpc(operator, "add_provider_rate", { provider, model: upstream_model, ...rate });
      return {
        provider,
        upstream_model,
        ...(position !== undefined && { position }),
        ...(weight !== undefined && { weight }),
      };
    }),
  );
  await rpc(operator, "set_model_targets", { model, targets: made });
  return { model, providers: made.map(({ provider }) => provider) };
}
