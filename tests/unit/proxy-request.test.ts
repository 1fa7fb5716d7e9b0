import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../proxy/endpoints.ts";
import { parseRequest } from "../../proxy/request.ts";
import { readPrompt, roughTokens } from "../../proxy/text.ts";
import { NO_UNITS } from "../../proxy/units.ts";

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
      inputTokens: 16 + 2,
      maxOutputTokens: null,
      units: { ...NO_UNITS, seconds: 10 },
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

describe("readPrompt", () => {
  const rough = (body: unknown) => roughTokens(readPrompt(body));
  const textOf = (body: unknown) => readPrompt(body).text.kept;

  it("takes all text in its order, without what only gives it form", () => {
    const content = [
      { type: "text", text: "two" },
      { type: "image_url", image_url: { url: "https://example.com/a.png" } },
    ];
    const messages = [
      { role: "system", content: "one" },
      { role: "user", content },
    ];
    const tools = [{ type: "function", function: { name: "f", parameters: { properties: { city: {} } } } }];
    expect(textOf({ model: "m", stream: true, messages, tools })).toBe(
      "one\ntwo\nimage_url\nurl\nfunction\nname\nparameters\nf\nproperties\ncity\n",
    );
    expect(readPrompt({ messages }).otherTokens).toBe(4 + 4 + 9);
  });

  it("roughly counts three bytes of text as a token", () => {
    expect(rough({ a: "x".repeat(299) })).toBe(16 + 100);
    expect(rough({ a: "漢".repeat(100) }) - rough({ a: "" })).toBe(100);
  });

  it("counts a picture as a flat amount, however it is sent", () => {
    const data = "A".repeat(3_000_000);
    const base = rough({ image: { url: "" } });
    expect(rough({ image: { url: `data:image/png;base64,${data}` } })).toBe(base + 1_000);
    expect(rough({ image: { url: "https://example.com/a.png" } })).toBeLessThan(base + 20);
    expect(rough({ source: { type: "base64", data } })).toBeLessThan(1_100);
  });

  it("counts token ids one by one", () => {
    expect(rough({ input: [1, 2, 3, 4] }) - rough({ input: [] })).toBe(4);
    expect(rough({ input: [[1, 2], [3]] }) - rough({ input: [] })).toBe(3);
  });

  it("keeps the beginning of a long text, and the size of all of it", () => {
    const { text } = readPrompt({ input: ["漢".repeat(40_000), "b".repeat(40_000)] });
    expect(text.bytes).toBe(120_001 + 40_001);
    expect(text.kept).toHaveLength(65_536);
    expect(text.keptBytes).toBe(Buffer.byteLength(text.kept));
  });
});

describe("units", () => {
  it.each<[Endpoint, object, object]>([
    ["chat/completions", { n: 3, size: "x" }, {}],
    ["images/generations", { prompt: "a cat" }, { images: 1 }],
    [
      "images/generations",
      { prompt: "a cat", n: 3, size: "1024x1024", quality: "hd" },
      { images: 3, image_size: "1024x1024", image_quality: "hd" },
    ],
    ["images/generations", { n: -3, size: 5, quality: "a\u0000b" }, { images: 1 }],
    ["audio/speech", { input: "Grüße 🜁" }, { characters: 7 }],
    ["audio/speech", { input: 5 }, {}],
  ])("of %s %j are %j", async (endpoint, body, units) => {
    expect((await parse(endpoint, { model: "m", ...body })).units).toEqual({ ...NO_UNITS, ...units });
  });

  it("tells how long a WAV file plays by its header, whatever that says about bytes per second", async () => {
    const wav = Buffer.alloc(16_044);
    wav.write("RIFF", 0);
    wav.write("WAVEfmt ", 8);
    wav.writeUInt16LE(2, 22);
    wav.writeUInt32LE(8_000, 24);
    wav.writeUInt32LE(1_000_000_000, 28);
    wav.writeUInt16LE(8, 34);
    const fields: [string, string | Blob][] = [
      ["model", "m"],
      ["file", new Blob([wav])],
    ];
    expect((await multipart(fields)).units.seconds).toBeCloseTo(1, 1);
  });
});
