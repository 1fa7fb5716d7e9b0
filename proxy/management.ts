import http from "node:http";
import https from "node:https";
import { type Request, type RequestHandler, type Response, Router } from "express";
import {
  createProxyMiddleware,
  debugProxyErrorsPlugin,
  type Options,
  proxyEventsPlugin,
  responseInterceptor,
} from "http-proxy-middleware";
import { limitBody, readBody } from "./body.ts";
import { contextOf } from "./context.ts";
import { ApiError, databaseUnavailable } from "./errors.ts";
import { isObject, objectOf, parseJson } from "./json.ts";
import { type Postgrest, type RpcResponse, requestIdHeaders } from "./postgrest.ts";

const BODY_LIMIT_BYTES = 1_048_576;
const HIDDEN_HEADERS = ["server", "keep-alive"];

type ProxyRes = NonNullable<NonNullable<Options["on"]>["proxyRes"]>;

const hideHeaders: ProxyRes = (proxyRes) => {
  for (const name of HIDDEN_HEADERS) delete proxyRes.headers[name];
};

export type PassThrough = {
  postgrestUrl: string;
  onError: (error: ApiError, res: Response) => void;
  /** Resolves when calls obey every change of configuration committed before. */
  catchUp: () => Promise<void>;
};

/**
 * Passes everything below its mount point to PostgREST, which decides by the caller's own JWT. What may have changed something
 * is answered once calls through this proxy obey the change.
 */
export function restPassThrough(options: PassThrough): RequestHandler {
  const reads = passOn(options, {});
  const writes = passOn(options, {
    selfHandleResponse: true,
    proxyRes: responseInterceptor(async (body, _proxyRes, _req, res) => {
      await options.catchUp();
      for (const name of HIDDEN_HEADERS) res.removeHeader(name);
      return body;
    }),
  });
  return (req, res, next) => {
    // The database learns from this header alone where a request comes from, so it is never the client's.
    const { clientIp, requestId } = contextOf(res);
    if (clientIp === null) delete req.headers["x-real-ip"];
    else req.headers["x-real-ip"] = clientIp;
    Object.assign(req.headers, requestIdHeaders(requestId));
    // With it, the events below would not fire.
    delete req.headers.expect;
    return (req.method === "GET" || req.method === "HEAD" ? reads : writes)(req, res, next);
  };
}

function passOn(
  { postgrestUrl, onError }: PassThrough,
  { selfHandleResponse = false, proxyRes = hideHeaders }: { selfHandleResponse?: boolean; proxyRes?: ProxyRes },
): ReturnType<typeof createProxyMiddleware> {
  return createProxyMiddleware({
    target: postgrestUrl,
    changeOrigin: true,
    selfHandleResponse,
    agent: new (postgrestUrl.startsWith("https:") ? https : http).Agent({ keepAlive: true }),
    ejectPlugins: true,
    plugins: [debugProxyErrorsPlugin, proxyEventsPlugin],
    on: {
      proxyReq(proxyReq, req) {
        limitBody(req, BODY_LIMIT_BYTES, (error) => proxyReq.destroy(error));
      },
      proxyRes,
      error(error, req, res) {
        if (!(res instanceof http.ServerResponse)) return;
        req.resume();
        onError(error instanceof ApiError ? error : databaseUnavailable(error), res as Response);
      },
    },
  });
}

/** The brief's two management routes, each an RPC called with the caller's own JWT. */
export function managementRoutes(postgrest: Postgrest, catchUp: () => Promise<void>): Router {
  const router = Router();

  router.get("/api/config/virtual-keys/:key", async (req, res) => {
    answer(res, await call(postgrest, req, res, "virtual_key_config", { virtual_key: req.params.key }));
  });

  router.post("/api/users/:userId/virtual-keys", async (req, res) => {
    const raw = await readBody(req, BODY_LIMIT_BYTES);
    const args = raw.length === 0 ? {} : parseJson(raw.toString("utf8"));
    if (!isObject(args)) throw new ApiError(400, "invalid_json", "The request body must be a JSON object.");
    // Without a name PostgREST would not find the function, and with a field too many neither.
    const response = await call(postgrest, req, res, "create_virtual_key", {
      name: null,
      ...args,
      user_id: req.params.userId,
    });
    if (objectOf(response.body).code === "PGRST202") {
      throw new ApiError(400, "unknown_field", "The body has a field that a virtual key does not have.");
    }
    await catchUp();
    answer(res, response);
  });

  return router;
}

async function call(
  postgrest: Postgrest,
  req: Request,
  res: Response,
  name: string,
  args: object,
): Promise<RpcResponse> {
  try {
    const { clientIp, requestId } = contextOf(res);
    const caller = { authorization: req.headers.authorization, clientIp };
    return await postgrest.rpc(name, args, { caller, requestId });
  } catch (error) {
    throw databaseUnavailable(error);
  }
}

function answer(res: Response, { status, headers, body }: RpcResponse): void {
  res
    .status(status)
    .set(headers)
    .json(body ?? null);
}
