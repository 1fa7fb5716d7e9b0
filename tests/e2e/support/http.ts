// Requests that no well-behaved client makes: any bytes as a body, any text as a request.
import { connect } from "node:net";
import { inject } from "vitest";

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The error's code, of whichever shape: OpenAI's, Anthropic's or PostgREST's. */
  code: string | undefined;
}

export async function send(path: string, init: RequestInit & { duplex?: "half" } = {}): Promise<Answer> {
  const response = await fetch(inject("stack").proxy_url + path, { redirect: "manual", ...init });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, code: codeIn(text) };
}

/** "status code" of an answer: what a refusal is told by. */
export const refusalOf = ({ status, code }: Pick<Answer, "status" | "code">): string =>
  `${status} ${code ?? "no code"}`;

/** Sends text as it is over a connection of its own; what came back until it was closed. */
export function sendRaw(text: string): Promise<string> {
  const { hostname, port } = new URL(inject("stack").proxy_url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let received = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      received += chunk;
    });
    socket.on("end", () => socket.end());
    socket.on("error", reject);
    socket.on("close", () => resolve(received));
  });
}

function codeIn(text: string): string | undefined {
  try {
    const body = JSON.parse(text) as { code?: string; error?: { code?: string } } | null;
    return body?.error?.code ?? body?.code;
  } catch {
    return undefined;
  }
}
