// Every unit a provider counts, from its report to the bill: what the demo provider says it used is what is charged.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Units, Usage } from "../../stack/provider/endpoint.ts";
import { asOwner, type User } from "./support/accounts.ts";
import { toMoney, toUnits } from "./support/billing.ts";
import { createKey, fundedUser } from "./support/calls.ts";
import { createModel, type TestTarget } from "./support/catalogue.ts";
import { onlyProviderCall, upstreamName } from "./support/provider.ts";

/** No two prices are the same, so that no unit can be charged as another. */
const TOKEN_RATES = {
  input_rate: "1000",
  cached_input_rate: "100",
  cache_write_rate: "1250",
  cache_write_1h_rate: "2000",
  audio_input_rate: "4000",
  image_input_rate: "3000",
  output_rate: "5000",
  audio_output_rate: "9000",
  image_output_rate: "7000",
};

type Row = Usage & Units & { charge: string; status: string; estimated: boolean; price_substituted: boolean };

let customer: User;
let key: string;

beforeAll(async () => {
  customer = await fundedUser("1000000");
  key = (await createKey(customer)).virtual_key;
});

afterAll(async () => {
  const { rows } = await asOwner((client) =>
    client.query("select * from app.reconcile() where user_id = $1", [customer.id]),
  );
  expect(rows).toEqual([]);
});

async function steered(endpoint: string, suffixes: string, rates: object, protocol: TestTarget["protocol"] = "openai") {
  const upstreamModel = upstreamName(suffixes);
  const rate = { ...rates, currency: "CNY" };
  const { model } = await createModel([{ upstreamModel, protocol, rates: [rate] }], { endpoints: [endpoint] });
  return { endpoint, model, upstreamModel };
}

type Steered = Awaited<ReturnType<typeof steered>>;

/** Makes the call and reads it to its end. Returns its usage row, what the provider says, and the answer. */
async function callAndBill({ endpoint, model, upstreamModel }: Steered, request: Record<string, unknown> | FormData) {
  const isForm = request instanceof FormData;
  if (isForm) request.set("model", model);
  const response = await fetch(`${inject("stack").proxy_url}/v1/${endpoint}`, {
    method: "POST",
    headers: { "x-virtual-key": key, ...(!isForm && { "content-type": "application/json" }) },
    body: isForm ? request : JSON.stringify({ model, ...request }),
  });
  const text = Buffer.from(await response.arrayBuffer()).toString();
  expect(response.status, text).toBe(200);
  const { rows } = await asOwner((client) =>
    client.query<Row>({
      text: `select input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, audio_input_tokens,
          image_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens, image_output_tokens, images, image_size,
          image_quality, characters, seconds, charge, status, estimated, price_substituted
        from data.usage_log where request_id = $1`,
      values: [response.headers.get("x-request-id")],
    }),
  );
  expect(rows).toHaveLength(1);
  // pg gives bigint and numeric as strings; money stays one.
  const columns = Object.entries(rows[0] as Row).map(([name, value]) => [
    name,
    /^(input|cached|cache|audio|image|output|reasoning)_.*tokens$|^(characters|seconds)$/.test(name)
      ? Number(value)
      : value,
  ]);
  return {
    row: Object.fromEntries(columns) as Row,
    provided: await onlyProviderCall(upstreamModel),
    answer: { headers: response.headers, text },
  };
}

/** The charge of these quantities at these prices per million, or each, with the usual markup of 20 percent. */
function chargeOf(lines: [quantity: number, price: string, per?: "million" | "one"][]): string {
  const millionfold = lines.reduce(
    (sum, [quantity, price, per = "million"]) =>
      sum + BigInt(quantity) * toUnits(price) * (per === "million" ? 1n : 1_000_000n),
    0n,
  );
  return toMoney((2n * millionfold * 120n + 100_000_000n) / 200_000_000n);
}

const chargeOfTokens = (usage: Usage, units: Partial<Units>): string => {
  const { cache_write_1h_tokens: hour = 0, audio_input_tokens: audioIn = 0, image_input_tokens: imageIn = 0 } = units;
  const { audio_output_tokens: audioOut = 0, image_output_tokens: imageOut = 0 } = units;
  const { input_tokens: input, cached_input_tokens: cached, cache_write_tokens: written, output_tokens } = usage;
  return chargeOf([
    [input - cached - written - audioIn - imageIn, TOKEN_RATES.input_rate],
    [cached, TOKEN_RATES.cached_input_rate],
    [written - hour, TOKEN_RATES.cache_write_rate],
    [hour, TOKEN_RATES.cache_write_1h_rate],
    [audioIn, TOKEN_RATES.audio_input_rate],
    [imageIn, TOKEN_RATES.image_input_rate],
    [output_tokens - audioOut - imageOut, TOKEN_RATES.output_rate],
    [audioOut, TOKEN_RATES.audio_output_rate],
    [imageOut, TOKEN_RATES.image_output_rate],
  ]);
};

const messages = [{ role: "user", content: "one two three four five six seven eight nine ten eleven twelve" }];

describe("tokens of every kind", () => {
  test.each([false, true])("cached, sound and images in, reasoning and sound out; stream: %s", async (stream) => {
    const suffixes = "-cached-2-audioin-3-imagein-4-audioout-5-reasoning-2-out-9";
    const model = await steered("chat/completions", suffixes, TOKEN_RATES);
    const { row, provided } = await callAndBill(model, { messages, stream });
    expect(provided.units).toEqual({ audio_input_tokens: 3, image_input_tokens: 4, audio_output_tokens: 5 });
    expect(row).toMatchObject({ ...provided.usage, ...provided.units, estimated: false, price_substituted: false });
    expect(row.charge).toBe(chargeOfTokens(provided.usage as Usage, provided.units));
  });

  test.each([false, true])("cache writes of five minutes and of an hour; stream: %s", async (stream) => {
    const model = await steered("messages", "-cached-1-cachewrite-6-cachewrite1h-4-out-5", TOKEN_RATES, "anthropic");
    const { row, provided } = await callAndBill(model, { messages, stream, max_tokens: 50 });
    expect(provided.usage).toMatchObject({ cached_input_tokens: 1, cache_write_tokens: 6 });
    expect(provided.units).toEqual({ cache_write_1h_tokens: 4 });
    expect(row).toMatchObject({ ...provided.usage, ...provided.units, estimated: false, price_substituted: false });
    expect(row.charge).toBe(chargeOfTokens(provided.usage as Usage, provided.units));
  });
});

describe("images", () => {
  const request = { prompt: "a cat", n: 2, size: "1024x1024", quality: "high" };

  test("by the token", async () => {
    const { row, provided } = await callAndBill(await steered("images/generations", "", TOKEN_RATES), request);
    expect(row).toMatchObject({ ...provided.usage, ...provided.units, estimated: false, price_substituted: false });
    expect(row).toMatchObject({ images: 2, image_size: "1024x1024", image_quality: "high" });
    expect(row.charge).toBe(chargeOfTokens(provided.usage as Usage, provided.units));
  });

  test("by the piece, at the price of their size and quality; others at the dearest", async () => {
    const image_rates = [
      { size: "1024x1024", quality: "high", rate: "0.5" },
      { size: "1024x1024", rate: "0.25" },
      { size: "1792x1024", rate: "0.75" },
    ];
    const rates = { input_rate: "0", output_rate: "0", image_rates };
    const bill = async (kind: object) =>
      (await callAndBill(await steered("images/generations", "-nousage", rates), { ...request, ...kind })).row;
    expect(await bill({})).toMatchObject({
      images: 2,
      charge: chargeOf([[2, "0.5", "one"]]),
      price_substituted: false,
    });
    expect(await bill({ quality: "low" })).toMatchObject({ charge: chargeOf([[2, "0.25", "one"]]) });
    expect(await bill({ size: "512x512", n: 3 })).toMatchObject({
      images: 3,
      image_size: "512x512",
      charge: chargeOf([[3, "0.75", "one"]]),
      price_substituted: true,
    });
  });
});

describe("sound", () => {
  test("speech by the character", async () => {
    const rates = { input_rate: "0", output_rate: "0", character_rate: "15000" };
    const { row, provided } = await callAndBill(await steered("audio/speech", "", rates), {
      input: "Grüße, 世界 🜁",
      voice: "alloy",
    });
    expect(provided.units).toEqual({ characters: 11 });
    expect(row).toMatchObject({ characters: 11, input_tokens: 0, estimated: false, price_substituted: false });
    expect(row.charge).toBe(chargeOf([[11, "15000"]]));
  });

  const recording = () => {
    const form = new FormData();
    form.set("file", new Blob([new Uint8Array(16_000)]), "speech.mp3");
    return form;
  };

  test("transcription by the token", async () => {
    const model = await steered("audio/transcriptions", "-out-5", TOKEN_RATES);
    const { row, provided } = await callAndBill(model, recording());
    expect(row).toMatchObject({ ...provided.usage, ...provided.units, estimated: false, price_substituted: false });
    expect(row.charge).toBe(chargeOfTokens(provided.usage as Usage, provided.units));
  });

  const bySecond = { input_rate: "0", output_rate: "0", second_rate: "0.01" };

  test("transcription by the second", async () => {
    const { row } = await callAndBill(await steered("audio/transcriptions", "-seconds-7", bySecond), recording());
    expect(row).toMatchObject({ seconds: 7, input_tokens: 0, output_tokens: 0, estimated: false });
    expect(row.charge).toBe(chargeOf([[7, "0.01", "one"]]));
  });

  test("transcription into plain text, which tells no seconds: by the length of the file", async () => {
    const form = recording();
    form.set("response_format", "text");
    const { row, answer } = await callAndBill(await steered("audio/transcriptions", "-seconds-7", bySecond), form);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(answer.text).toMatch(/^\w+ /);
    expect(row).toMatchObject({ seconds: 2, estimated: true });
    expect(row.charge).toBe(chargeOf([[2, "0.01", "one"]]));
  });
});

describe("what is not reported", () => {
  test.each([false, true])("is counted from what was sent and received; stream: %s", async (stream) => {
    const model = await steered("chat/completions", "-nousage-out-40", TOKEN_RATES);
    const { row, provided } = await callAndBill(model, { messages, stream });
    // The demo provider counts words and signs, which for its own words is nearly what a real tokenizer counts.
    expect(row).toMatchObject({ status: "ok", estimated: true, cached_input_tokens: 0 });
    expect(row.input_tokens - (provided.usage?.input_tokens ?? 0)).toBeLessThanOrEqual(6);
    expect(row.input_tokens).toBeGreaterThanOrEqual(provided.usage?.input_tokens ?? 0);
    expect(Math.abs(row.output_tokens - 40)).toBeLessThanOrEqual(6);
  });

  test("never exceeds what the call allows", async () => {
    const model = await steered("chat/completions", "-nousage-out-40", TOKEN_RATES);
    const { row } = await callAndBill(model, { messages, max_tokens: 10 });
    expect(row.output_tokens).toBeLessThanOrEqual(10);
  });

  test("of an answer that broke off is counted as far as it came", async () => {
    const model = await steered("chat/completions", "-die-out-40", TOKEN_RATES);
    const { row } = await callAndBill(model, { messages, stream: true });
    expect(row).toMatchObject({ status: "interrupted", estimated: true });
    expect(row.output_tokens).toBeGreaterThan(10);
    expect(row.output_tokens).toBeLessThan(30);
    const { input_tokens, output_tokens } = row;
    expect(row.charge).toBe(
      chargeOf([
        [input_tokens, TOKEN_RATES.input_rate],
        [output_tokens, TOKEN_RATES.output_rate],
      ]),
    );
  });
});
