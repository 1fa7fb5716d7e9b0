import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { isPublicAddress } from "../../jobs/addresses.ts";
import { readConfig } from "../../jobs/config.ts";
import { connectionUrl } from "../../jobs/database.ts";
import { postWebhook } from "../../jobs/webhook.ts";

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const post = (url: string, allowPrivate = true, timeoutMs?: number) =>
  postWebhook({ id: "msg_1", url, secrets: [`whsec_${"A".repeat(44)}`], body: "{}", allowPrivate }, timeoutMs);

test.each([
  ["8.8.8.8", true],
  ["2606:4700::1111", true],
  ["127.0.0.1", false],
  ["10.0.0.1", false],
  ["172.31.255.255", false],
  ["172.32.0.1", true],
  ["192.168.1.1", false],
  ["169.254.169.254", false],
  ["100.64.0.1", false],
  ["0.0.0.0", false],
  ["224.0.0.1", false],
  ["255.255.255.255", false],
  ["::1", false],
  ["::", false],
  ["::ffff:10.0.0.1", false],
  ["::ffff:8.8.8.8", false],
  ["64:ff9b::a00:1", false],
  ["fe80::1", false],
  ["fd00::1", false],
  ["2002:7f00:1::", false],
  ["not an address", false],
])("%s is public: %s", (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});

test.each(["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])(
  "nothing is posted to %s, whatever it is called",
  async (host) => {
    let requests = 0;
    const port = await serve((_request, response) => {
      requests += 1;
      response.end();
    });
    const result = await post(`http://${host}:${port}/`, false);
    expect(result).toMatchObject({ status: null, error: "The address is not one of the public internet." });
    expect(requests).toBe(0);
  },
);

test("a name is connected to at the address that was looked at", async () => {
  const hosts: (string | undefined)[] = [];
  const port = await serve((request, response) => {
    hosts.push(request.headers.host);
    response.end();
  });
  expect(await post(`http://localhost:${port}/`)).toMatchObject({ status: 200, error: null });
  expect(hosts).toEqual([`localhost:${port}`]);
});

test("a redirect is a failure and not followed", async () => {
  let requests = 0;
  const port = await serve((_request, response) => {
    requests += 1;
    response.writeHead(302, { location: "/elsewhere" }).end();
  });
  expect(await post(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 302, error: "The endpoint answered 302." });
  expect(requests).toBe(1);
});

test("an endpoint that does not answer, or never ends, takes no longer than the timeout", async () => {
  const silent = await serve(() => {});
  const result = await post(`http://127.0.0.1:${silent}/`, true, 300);
  expect(result).toMatchObject({ status: null, error: "There was no answer within 0.3 seconds." });
  const endless = await serve((_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("x"), 20);
    response.on("close", () => clearInterval(timer));
  });
  const start = performance.now();
  expect(await post(`http://127.0.0.1:${endless}/`, true, 300)).toMatchObject({ status: 200, error: null });
  expect(performance.now() - start).toBeLessThan(2_000);
});

test("of a huge answer only the beginning is read", async () => {
  let sent = 0;
  const port = await serve((_request, response) => {
    const chunk = Buffer.alloc(65_536);
    const more = (): void => {
      if (response.destroyed || sent > 100_000_000) return;
      sent += chunk.length;
      if (response.write(chunk)) setImmediate(more);
      else response.once("drain", more);
    };
    more();
  });
  expect(await post(`http://127.0.0.1:${port}/`, true, 5_000)).toMatchObject({ status: 200, error: null });
  expect(sent).toBeLessThan(20_000_000);
});

test("what is wrong with a connection is said without its address", async () => {
  const port = await serve(() => {});
  expect((await post(`http://127.0.0.1:1/`)).error).toBe("The connection failed (ECONNREFUSED).");
  expect((await post(`https://127.0.0.1:${port}/`, true, 1_000)).error).not.toContain("127.0.0.1");
  expect((await post("http://no-such-host.invalid/")).error).toMatch(/name could not be resolved|no answer/);
});

test("the worker's environment: mail needs a sender, the master key goes along with the connection", () => {
  const DATABASE_URL = "postgres://worker:pw@127.0.0.1/db";
  expect(() => readConfig({ DATABASE_URL, SMTP_URL: "smtp://127.0.0.1" })).toThrow(/^MAIL_FROM: /);
  expect(() => readConfig({ DATABASE_URL, SMTP_URL: "http://127.0.0.1", MAIL_FROM: "a@b" })).toThrow(/^SMTP_URL: /);
  expect(() => readConfig({ DATABASE_URL, MAIL_FROM: "a@b\nBcc: c@d" })).toThrow(/^MAIL_FROM: /);
  const config = readConfig({
    DATABASE_URL,
    SMTP_URL: "smtps://u:p@mail",
    MAIL_FROM: "Neuropia <a@b.c>",
    MASTER_KEY: "a \\b",
  });
  const url = new URL(connectionUrl(config, "x"));
  expect(url.searchParams.get("options")).toBe("-c app.settings.master_key=a\\ \\\\b");
});
