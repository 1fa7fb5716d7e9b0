import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../proxy/endpoints.ts";
import { parseRequest } from "../../proxy/request.ts";
import { estimateInputTokens } from "../../proxy/tokens.ts";

const parse = (endpoint: Endpoint, body: unknown) =>
  parseRequest(endpoint, Buffer.from(typeof body === "string" ? body : JSON.stringify(body)), "application/json");

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };

async function multipart(fields: [string, string | Blob][]) {
  const form = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === "string") form.append(name, value);
    else form.append(name, value, "speech.mp3");
  }
  const encoded = new Response(form);
  const contentType = encoded.headers.get("content-type") ?? "";
  return parseRequest("audio/transcriptions", Buffer.from(await encoded.arrayBuffer()), contentType);
}

describe("parseRequest of JSON", () => {
  it.each(["", "{nope", "[]", "null", '"x"', "1"])("refuses %j as invalid_json", async (body) => {
    await expect(parse("chat/completions", body)).rejects.toMatchObject({ status: 400, code: "invalid_json" });
  });

  it.each([undefined, null, "", 5, ["m"], {}, "a\u0000b", "a\nb", "a\ud800", "m".repeat(257)])(
    "refuses the model %j",
    async (model) => {
      const refusal = { status: 400, code: "model_required", param: "model" };
      await expect(parse("chat/completions", { ...CHAT, model })).rejects.toMatchObject(refusal);
    },
  );

  it("forwards the very bytes it got when there is nothing to change", async () => {
    const raw = Buffer.from('{ "model":"m",\n "messages": [], "seed": 12345678901234567890 }');
    const request = await parseRequest("chat/completions", raw, "text/plain");
    expect(await request.encode("upstream")).toEqual({ body: raw, contentType: "application/json" });
  });

  it.each<[Endpoint, boolean]>([
    ["chat/completions", true],
    ["completions", true],
    ["responses", false],
    ["messages", false],
  ])("asks for the usage of a stream on %s: %s", async (endpoint, isForced) => {
    const { body } = await (await parse(endpoint, { model: "m", stream: true })).encode("u");
    expect(JSON.parse(body.toString()).stream_options).toEqual(isForced ? { include_usage: true } : undefined);
  });

  it("keeps the client's other stream options, and knows whether it wants the usage chunk", async () => {
    const stream_options = { include_usage: false, include_obfuscation: false };
    const request = await parse("chat/completions", { ...CHAT, stream: true, stream_options });
    expect(request.wantsUsageChunk).toBe(false);
    const sent = JSON.parse((await request.encode("u")).body.toString());
    expect(sent).toEqual({
      ...CHAT,
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
    });
    const asking = await parse("chat/completions", { ...CHAT, stream: true, stream_options: { include_usage: true } });
    expect(asking.wantsUsageChunk).toBe(true);
  });

  it.each<[Endpoint, object, number | null]>([
    ["chat/completions", {}, null],
    ["chat/completions", { max_tokens: 10 }, 10],
    ["chat/completions", { max_tokens: 10, max_completion_tokens: 20 }, 20],
    ["chat/completions", { max_tokens: 10, n: 3 }, 30],
    ["completions", { max_tokens: 10, n: 2, best_of: 5 }, 50],
    ["responses", { max_output_tokens: 7 }, 7],
    ["messages", { max_tokens: 7 }, 7],
    ["embeddings", { max_tokens: 7 }, 0],
    ["chat/completions", { max_tokens: 1_000_000 }, 1_000_000],
    ["chat/completions", { max_tokens: 1e9, n: 1e9 }, 1e9],
    ["chat/completions", { max_tokens: -5, n: -1 }, null],
    ["chat/completions", { max_tokens: "10" }, null],
    ["chat/completions", { max_tokens: 1.5 }, null],
  ])("reads the most output of %s %j as %j", async (endpoint, parameters, most) => {
    expect((await parse(endpoint, { model: "m", ...parameters })).maxOutputTokens).toBe(most);
  });

  it("refuses a background response: it could not be billed", async () => {
    const refusal = { status: 400, code: "unsupported_parameter", param: "background" };
    await expect(parse("responses", { model: "m", background: true })).rejects.toMatchObject(refusal);
  });

  it.each([true, false])("refuses a request nested too deeply to be written again (stream: %s)", async (stream) => {
    const nested = (levels: number) =>
      `{"model":"m","stream":${stream},"messages":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    const refusal = { status: 400, code: "invalid_json" };
    await expect(parse("chat/completions", nested(100_000))).rejects.toMatchObject(refusal);
    await expect(parse("chat/completions", nested(500))).rejects.toMatchObject(refusal);
    await expect(parse("chat/completions", nested(499))).resolves.toMatchObject({ model: "m" });
  });
});

describe("parseRequest of multipart/form-data", () => {
  const file = new Blob([new Uint8Array(80_000)]);

  it("reads the model, and forwards the upstream's name for it with all else", async () => {
    const request = await multipart([
      ["model", "public-name"],
      ["file", file],
      ["prompt", "names"],
    ]);
    expect(request).toMatchObject({
      model: "public-name",
      inputTokens: expect.closeTo(105, -1),
      maxOutputTokens: null,
    });
    const { body, contentType } = await request.encode("upstream-name");
    const sent = await new Response(new Uint8Array(body), { headers: { "content-type": contentType } }).formData();
    expect(sent.getAll("model")).toEqual(["upstream-name"]);
    expect(sent.get("prompt")).toBe("names");
    expect(await (sent.get("file") as File).bytes()).toEqual(new Uint8Array(80_000));
    expect((sent.get("file") as File).name).toBe("speech.mp3");
  });

  it("refuses a second model, which could be the one that is used", async () => {
    const fields: [string, string | Blob][] = [
      ["model", "cheap"],
      ["file", file],
      ["model", "dear"],
    ];
    await expect(multipart(fields)).rejects.toMatchObject({ status: 400, code: "model_required" });
  });

  it.each(["application/json", "multipart/form-data", ""])("refuses content type %j", async (contentType) => {
    const body = Buffer.from('{"model":"m"}');
    await expect(parseRequest("audio/transcriptions", body, contentType)).rejects.toMatchObject({
      code: "model_required",
    });
  });
});

describe("estimateInputTokens", () => {
  it("counts three bytes of text as a token, keys included", () => {
    expect(estimateInputTokens({ a: "x".repeat(299) })).toBe(16 + 100);
    expect(estimateInputTokens({ a: "漢".repeat(100) }) - estimateInputTokens({ a: "" })).toBe(100);
  });

  it("counts a picture as a flat amount, however it is sent", () => {
    const data = "A".repeat(3_000_000);
    const base = estimateInputTokens({ url: "" });
    expect(estimateInputTokens({ url: `data:image/png;base64,${data}` })).toBe(base + 1_000);
    expect(estimateInputTokens({ url: "https://example.com/a.png" })).toBeLessThan(base + 20);
    expect(estimateInputTokens({ source: { type: "base64", data } })).toBeLessThan(1_100);
  });

  it("counts token ids one by one", () => {
    expect(estimateInputTokens({ input: [1, 2, 3, 4] }) - estimateInputTokens({ input: [] })).toBe(4);
  });
});
