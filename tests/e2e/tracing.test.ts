// Traces as a collector gets them, and what of them goes to nobody else.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";
import { withClient } from "../../stack/postgres.ts";
import { createOwnDatabase } from "../db/support/database.ts";
import { asOwner, eventually } from "./support/accounts.ts";
import { type CreatedKey, createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { type CollectedSpan, type Collector, startCollector } from "./support/collector.ts";
import { providerLog, upstreamName } from "./support/provider.ts";
import { type Proxies, startProxies } from "./support/proxies.ts";

const PROMPT = "a prompt that no trace may have";
const SERVER = 2;
const ERROR = 2;

let collector: Collector;
let proxies: Proxies;
let key: CreatedKey;
let isStopped = false;

beforeAll(async () => {
  collector = await startCollector();
  key = await createKey(await fundedUser());
  proxies = await startProxies(1, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=neuropia,authorization=Bearer%20of-the-collector",
  });
});

afterAll(async () => {
  await stopProxy();
  collector.stop();
});

/** What has not been sent yet is sent at the end. */
async function stopProxy(): Promise<void> {
  if (!isStopped) await proxies.stop();
  isStopped = true;
}

async function chat(model: string, headers: Record<string, string> = {}, body: object = {}) {
  const response = await fetch(`${proxies.urls[0]}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-virtual-key": key.virtual_key, ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: PROMPT }], ...body }),
  });
  await response.text();
  return { status: response.status, id: response.headers.get("x-request-id") as string };
}

/** The spans of a request, in the order they began, its root first. */
function spansOf(id: string): CollectedSpan[] {
  const root = collector.spans.find(({ attributes }) => attributes["neuropia.request_id"] === id);
  if (root === undefined) throw new Error(`no trace of ${id}`);
  const children = collector.spans.filter(
    ({ traceId, parentSpanId }) => traceId === root.traceId && parentSpanId === root.spanId,
  );
  return [root, ...children.sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))];
}

const newTraceparent = () => {
  const [traceId, spanId] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-00` };
};

test("calls are traced, belong to their caller's trace if it is valid, and nothing secret is in it", async () => {
  const [upstream, direct] = [upstreamName(), upstreamName()];
  const [through, straight] = [
    await createModel([{ upstreamModel: upstreamName("-fail-503") }, { upstreamModel: upstream }]),
    await createModel([{ upstreamModel: direct }]),
  ];
  await asOwner((client) =>
    client.query("update data.provider set is_direct = true where name = $1", [straight.providers[0]]),
  );
  const caller = newTraceparent();
  const stream = await chat(
    through.model,
    { traceparent: caller.traceparent, tracestate: "vendor=of-the-client" },
    { stream: true },
  );
  const fast = await chat(straight.model, { traceparent: newTraceparent().traceparent });
  const refused = await chat("no-such-model", { traceparent: `00-${"0".repeat(32)}-${caller.spanId}-01` });
  const failing = await chat((await createModel([{ upstreamModel: upstreamName("-fail-500") }])).model, {
    traceparent: "nonsense",
  });
  expect([stream.status, fast.status, refused.status, failing.status]).toEqual([200, 200, 404, 500]);

  const portkey = await eventually(async () => {
    const lines = readFileSync(path.join(inject("logs"), "portkey.log"), "utf8").split("\n");
    return lines.find((line) => line.includes(stream.id));
  });
  expect(JSON.parse(portkey)).toMatchObject({ request_id: stream.id, trace_id: caller.traceId });
  for (const name of [upstream, direct]) {
    const [entry] = await providerLog(name);
    expect(entry?.headers).toHaveProperty("x-request-id");
    expect(Object.keys(entry?.headers ?? {}).filter((header) => header.startsWith("trace"))).toEqual([]);
  }
  await stopProxy();

  const [root, ...phases] = spansOf(stream.id);
  expect(root).toMatchObject({
    name: "POST /v1/chat/completions",
    kind: SERVER,
    service: "neuropia-proxy",
    traceId: caller.traceId,
    parentSpanId: caller.spanId,
    attributes: {
      "http.request.method": "POST",
      "http.route": "/v1/chat/completions",
      "http.response.status_code": 200,
      "gen_ai.request.model": through.model,
      "gen_ai.provider.name": "openai",
      "gen_ai.usage.input_tokens": expect.any(Number),
      "gen_ai.usage.output_tokens": expect.any(Number),
      "neuropia.request_id": stream.id,
      "neuropia.status": "ok",
      "neuropia.streamed": true,
    },
  });
  expect(phases.map(({ name }) => name)).toEqual(["authorise", "forward", "answer", "record"]);
  for (const span of phases) {
    expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
    expect(BigInt(span.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root?.startTimeUnixNano ?? 0));
    expect(span.status.code, span.name).not.toBe(ERROR);
  }
  expect(
    spansOf(fast.id)
      .map(({ name }) => name)
      .slice(1),
  ).toEqual(["authorise", "forward", "answer", "record"]);

  const [refusal, authorise, ...none] = spansOf(refused.id);
  expect(refusal?.traceId).not.toMatch(/^0+$/);
  expect(refusal?.parentSpanId).toBeUndefined();
  expect(refusal).toMatchObject({ attributes: { "http.response.status_code": 404, "error.type": "model_not_found" } });
  // What a caller does wrong is no error of the server's.
  expect(refusal?.status.code).not.toBe(ERROR);
  expect(authorise).toMatchObject({
    name: "authorise",
    status: { code: ERROR },
    attributes: { "error.type": "model_not_found" },
  });
  expect(none).toEqual([]);

  const [failure, , forward, answer, record] = spansOf(failing.id);
  expect(failure).toMatchObject({
    status: { code: ERROR },
    attributes: { "error.type": "upstream_error", "neuropia.status": "error" },
  });
  expect(failure?.parentSpanId).toBeUndefined();
  expect(forward).toMatchObject({ name: "forward" });
  expect(answer).toMatchObject({
    name: "answer",
    status: { code: ERROR },
    attributes: { "error.type": "upstream_error" },
  });

  expect(record).toMatchObject({ name: "record", status: { code: 0 } });

  expect(collector.headers[0]).toMatchObject({ authorization: "Bearer of-the-collector", "x-tenant": "neuropia" });
  const all = JSON.stringify(collector.spans);
  for (const secret of [PROMPT, key.virtual_key, key.id, "sk-", "of-the-client", "of-the-collector"])
    expect(all).not.toContain(secret);
});

test("a collector that is away costs nothing but the traces; of a share of 0 none is kept", async () => {
  const quiet = await startCollector();
  const [away, none] = await Promise.all([
    startProxies(1, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" }),
    startProxies(1, { OTEL_EXPORTER_OTLP_ENDPOINT: quiet.url, OTEL_TRACES_SAMPLER_ARG: "0" }),
  ]);
  const { model } = await createModel();
  for (const url of [away.urls[0], none.urls[0]]) {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-virtual-key": key.virtual_key,
        traceparent: `${newTraceparent().traceparent.slice(0, -1)}1`,
      },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
    });
    expect(response.status).toBe(200);
    await response.text();
  }
  await Promise.all([away.stop(), none.stop()]);
  quiet.stop();
  expect(quiet.spans).toEqual([]);
});

test("jobs are traced, without what they are about", async () => {
  const databaseUrl = await createOwnDatabase(`neuropia_traced_${randomUUID().slice(0, 8)}`);
  const jobsCollector = await startCollector();
  let jobs: ChildProcess | undefined;
  try {
    await withClient(databaseUrl, (client) =>
      client.query(
        `select app.queue_job('upkeep', '{}'), app.queue_job('notify', '{"user_id": "not-a-uuid", "secret": "of-the-job"}')`,
      ),
    );
    jobs = spawn(process.execPath, ["jobs/main.ts"], {
      cwd: PROJECT_DIRECTORY,
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: databaseUrl,
        JOBS_ADMIN_PORT: "0",
        OTEL_EXPORTER_OTLP_ENDPOINT: jobsCollector.url,
      },
      stdio: "ignore",
    });
    await eventually(async () => {
      const [row] = await withClient(databaseUrl, async (client) => {
        const { rows } = await client.query(
          "select count(*) filter (where attempts = 0)::int as waiting from graphile_worker.jobs where task_identifier in ('upkeep', 'notify')",
        );
        return rows;
      });
      return row.waiting === 0 ? true : undefined;
    });
    const ended = once(jobs, "exit");
    jobs.kill("SIGTERM");
    await ended;
    const spans = jobsCollector.spans.filter(({ name: span }) => /upkeep|notify/.test(span));
    expect(spans.find((span) => span.name === "job upkeep")).toMatchObject({
      service: "neuropia-jobs",
      attributes: { "neuropia.job.task": "upkeep", "neuropia.job.attempt": 1, "neuropia.job.id": expect.any(String) },
    });
    expect(spans.find((span) => span.name === "job notify")).toMatchObject({
      status: { code: ERROR },
      attributes: { "error.type": "ZodError" },
    });
    expect(JSON.stringify(jobsCollector.spans)).not.toMatch(/of-the-job|not-a-uuid/);
  } finally {
    jobs?.kill("SIGKILL");
    jobsCollector.stop();
  }
});
