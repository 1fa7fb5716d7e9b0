import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Received {
  path: string;
  id: string;
  headers: Record<string, string>;
  body: string;
}

export interface WebhookReceiver {
  url: string;
  received: Received[];
  stop: () => Promise<void>;
}

/** An HTTP server that keeps what is posted to it and answers 204, or as `answer` does. */
export async function startWebhookReceiver(
  answer: (received: Received, response: ServerResponse) => Promise<void> | void = (_received, response) => {
    response.writeHead(204).end();
  },
): Promise<WebhookReceiver> {
  const received: Received[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(request);
    const headers = request.headers as Record<string, string>;
    const delivery = { path: request.url ?? "/", id: headers["webhook-id"] ?? "", headers, body };
    received.push(delivery);
    await answer(delivery, response);
  };
  const server = createServer((request, response) => {
    // A sender that was killed breaks its request off.
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
