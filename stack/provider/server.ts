import { randomUUID } from "node:crypto";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { anthropicEndpoints, anthropicError } from "./anthropic.ts";
import { parseBehaviour } from "./behaviour.ts";
import { type Answer, type Call, type Endpoint, InvalidRequest, type Units, type Usage } from "./endpoint.ts";
import { dashscopeEndpoints, dashscopeError, openaiEndpoints, openaiError } from "./openai.ts";

interface Face {
  endpoints: Record<string, Endpoint>;
  error: (status: number, message: string) => object;
  models: string[];
}

const faces: Record<string, Face> = {
  dashscope: { endpoints: dashscopeEndpoints, error: dashscopeError, models: ["qwen-turbo", "qwen-plus", "qwen-max"] },
  openai: {
    endpoints: openaiEndpoints,
    error: openaiError,
    models: ["gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small"],
  },
  anthropic: {
    endpoints: anthropicEndpoints,
    error: anthropicError,
    models: ["claude-sonnet-4-5", "claude-haiku-4-5"],
  },
};

/** One call the provider received: what it was asked, what it really used, and whether the answer went out whole. */
export interface LogEntry {
  at: string;
  face: string;
  endpoint: string;
  model: string;
  status: number;
  stream: boolean;
  completed: boolean;
  usage: Usage | null;
  units: Partial<Units>;
  request_id: string | null;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
}

const LOG_LIMIT = 20_000;
const BODY_LOG_LIMIT = 16_384;

/**
 * The demo provider: OpenAI's, DashScope's and Anthropic's API under /openai/v1, /dashscope/v1 and /anthropic/v1.
 * `GET /_log` (optionally `?model=`, `?since=` an ISO time) lists what it served, oldest first; `DELETE /_log` (likewise) forgets it.
 */
export function createProvider(): Server {
  let log: LogEntry[] = [];

  function record(entry: LogEntry): LogEntry {
    log.push(entry);
    if (log.length > LOG_LIMIT * 1.1) log = log.slice(-LOG_LIMIT);
    return entry;
  }

  function serveLog(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const model = url.searchParams.get("model");
    const since = url.searchParams.get("since") ?? "";
    const matches = (entry: LogEntry): boolean => (model === null || entry.model === model) && entry.at >= since;
    if (request.method === "DELETE") {
      log = log.filter((entry) => !matches(entry));
      response.writeHead(204).end();
    } else {
      sendJson(response, 200, log.filter(matches));
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://provider");
    if (url.pathname === "/health") return sendJson(response, 200, { status: "ok" });
    if (url.pathname === "/_log") return serveLog(request, response, url);
    const [, faceName = "", endpointName = ""] = /^\/([^/]+)\/v1\/(.+)$/.exec(url.pathname) ?? [];
    const face = faces[faceName];
    if (!face) return sendJson(response, 404, openaiError(404, `No such path: ${url.pathname}`));
    if (!request.headers.authorization && !request.headers["x-api-key"]) {
      return sendJson(response, 401, face.error(401, "No API key given."));
    }
    if (request.method === "GET" && endpointName === "models") {
      const data = face.models.map((id) => ({ id, object: "model", created: 0, owned_by: faceName }));
      return sendJson(response, 200, { object: "list", data });
    }
    const endpoint = face.endpoints[endpointName];
    if (request.method !== "POST" || !endpoint) {
      return sendJson(response, 404, face.error(404, `No such endpoint: ${request.method} ${url.pathname}`));
    }

    const bytes = await readBody(request);
    let body: Record<string, unknown>;
    let fileBytes: number;
    try {
      ({ body, fileBytes } = await parseRequest(bytes, request.headers["content-type"] ?? ""));
    } catch {
      return sendJson(response, 400, face.error(400, "The body could not be parsed."));
    }
    const model = typeof body.model === "string" ? body.model : "";
    const behaviour = parseBehaviour(model);
    const requestId = request.headers["x-request-id"];
    const entry = record({
      at: new Date().toISOString(),
      face: faceName,
      endpoint: endpointName,
      model,
      status: 0,
      stream: body.stream === true,
      completed: false,
      usage: null,
      units: {},
      request_id: typeof requestId === "string" ? requestId : null,
      headers: request.headers,
      body: bytes.length <= BODY_LOG_LIMIT ? body : {},
    });
    response.on("finish", () => {
      entry.completed = true;
    });

    const fail = (status: number, message: string, headers: Record<string, string> = {}): void => {
      entry.status = status;
      sendJson(response, status, face.error(status, message), headers);
    };
    if (model === "") return fail(400, "model is required");
    if (behaviour.hang) return;
    await sleep(behaviour.slowMs);
    if (behaviour.redirect) return fail(307, "Moved.", { location: "http://redirected.invalid/v1" });
    if (behaviour.failStatus !== undefined) {
      const status = Math.min(Math.max(behaviour.failStatus, 400), 599);
      return fail(
        status,
        `Failing with ${status}, as the model's name asks.`,
        status === 429 ? { "retry-after": "1" } : {},
      );
    }

    const call: Call = {
      id: randomUUID().replaceAll("-", ""),
      model,
      behaviour,
      body,
      fileBytes,
      createdS: Math.floor(Date.now() / 1000),
    };
    let answer: Answer;
    try {
      answer = endpoint(call);
    } catch (error) {
      if (error instanceof InvalidRequest) return fail(400, error.message);
      throw error;
    }
    entry.status = 200;
    entry.usage = answer.usage;
    entry.units = answer.units ?? {};
    const headers = { "x-request-id": `req_${call.id}` };
    await (answer.frames
      ? sendStream(response, headers, answer.frames, call)
      : sendBody(response, headers, answer.body, call));
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent || request.destroyed) {
        response.destroy();
      } else {
        console.error(error);
        sendJson(response, 500, openaiError(500, "The demo provider failed."));
      }
    });
  });
  server.keepAliveTimeout = 75_000;
  return server;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function parseRequest(
  bytes: Buffer,
  contentType: string,
): Promise<{ body: Record<string, unknown>; fileBytes: number }> {
  if (contentType.startsWith("multipart/form-data")) {
    const form = await new Response(new Uint8Array(bytes), { headers: { "content-type": contentType } }).formData();
    const file = form.get("file");
    const fields = [...form].filter(([, value]) => typeof value === "string");
    return { body: Object.fromEntries(fields), fileBytes: file instanceof Blob ? file.size : 0 };
  }
  const body: unknown = JSON.parse(bytes.toString("utf8"));
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new SyntaxError("not an object");
  return { body: body as Record<string, unknown>, fileBytes: 0 };
}

function sendJson(response: ServerResponse, status: number, json: unknown, headers: Record<string, string> = {}): void {
  const text = JSON.stringify(json);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

function sendBody(response: ServerResponse, headers: Record<string, string>, body: Answer["body"], call: Call): void {
  const bytes = "json" in body ? Buffer.from(JSON.stringify(body.json)) : body.bytes;
  const contentType = "json" in body ? "application/json" : body.contentType;
  response.writeHead(200, { ...headers, "content-type": contentType, "content-length": bytes.length });
  if (call.behaviour.die) {
    response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => response.destroy());
  } else {
    response.end(bytes);
  }
}

async function sendStream(
  response: ServerResponse,
  headers: Record<string, string>,
  frames: string[],
  call: Call,
): Promise<void> {
  const { die, slowMs } = call.behaviour;
  response.writeHead(200, { ...headers, "content-type": "text/event-stream", "cache-control": "no-cache" });
  const last = die ? Math.ceil(frames.length / 2) : frames.length;
  for (const [index, frame] of frames.slice(0, last).entries()) {
    if (index > 0 && slowMs > 0) await sleep(slowMs);
    if (response.destroyed) return;
    response.write(frame);
  }
  if (die) {
    // The bytes written so far must be seen before the cut.
    await new Promise<void>((resolve) => response.write("", () => resolve()));
    response.destroy();
  } else {
    response.end();
  }
}
