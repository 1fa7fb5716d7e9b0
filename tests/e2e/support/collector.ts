// An OpenTelemetry collector that keeps what it is sent, as OTLP/HTTP in JSON.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

type Value = { stringValue?: string; intValue?: number; boolValue?: boolean; doubleValue?: number };

export type CollectedSpan = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Record<string, unknown>;
  status: { code: number };
  service: unknown;
};

type Attribute = { key: string; value: Value };
type Export = {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: { spans: (Omit<CollectedSpan, "attributes" | "service"> & { attributes: Attribute[] })[] }[];
  }[];
};

const valuesOf = (attributes: Attribute[]): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

export type Collector = {
  url: string;
  spans: CollectedSpan[];
  headers: IncomingHttpHeaders[];
  stop: () => void;
};

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    const receive = async () => {
      const { resourceSpans } = (await json(request)) as Export;
      headers.push(request.headers);
      for (const { resource, scopeSpans } of resourceSpans) {
        const service = valuesOf(resource.attributes)["service.name"];
        for (const span of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({ ...span, attributes: valuesOf(span.attributes), service });
      }
    };
    const isExport = request.method === "POST" && request.url === "/v1/traces";
    receive().then(
      () => response.writeHead(isExport ? 200 : 404, { "content-type": "application/json" }).end("{}"),
      () => response.writeHead(400).end(),
    );
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    headers,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
