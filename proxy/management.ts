import http from "node:http";
import https from "node:https";
import { type Request, type RequestHandler, type Response, Router } from "express";
import { createProxyMiddleware, debugProxyErrorsPlugin, proxyEventsPlugin } from "http-proxy-middleware";
import { limitBody, readBody } from "./body.ts";
import { contextOf } from "./context.ts";
import { ApiError, databaseUnavailable } from "./errors.ts";
import { isObject, objectOf, parseJson } from "./json.ts";
import type { Postgrest, RpcResponse } from "./postgrest.ts";

const BODY_LIMIT_BYTES = 1_048_576;

/** Passes everything below its mount point to PostgREST, which decides by the caller's own JWT. */
export function restPassThrough(
  postgrestUrl: string,
  onError: (error: ApiError, res: Response) => void,
): RequestHandler {
  const proxy = createProxyMiddleware({
    target: postgrestUrl,
    changeOrigin: true,
    agent: new (postgrestUrl.startsWith("https:") ? https : http).Agent({ keepAlive: true }),
    ejectPlugins: true,
    plugins: [debugProxyErrorsPlugin, proxyEventsPlugin],
    on: {
      proxyReq(proxyReq, req) {
        limitBody(req, BODY_LIMIT_BYTES, (error) => proxyReq.destroy(error));
      },
      proxyRes(proxyRes) {
        for (const name of ["server", "keep-alive"]) delete proxyRes.headers[name];
      },
      error(error, req, res) {
        if (!(res instanceof http.ServerResponse)) return;
        req.resume();
        onError(error instanceof ApiError ? error : databaseUnavailable(error), res as Response);
      },
    },
  });
  return (req, res, next) => {
    // The database learns from this header alone where a request comes from, so it is never the client's.
    const { clientIp } = contextOf(res);
    if (clientIp === null) delete req.headers["x-real-ip"];
    else req.headers["x-real-ip"] = clientIp;
    // With it, the events above would not fire.
    delete req.headers.expect;
    return proxy(req, res, next);
  };
}

/** The brief's two management routes, each an RPC called with the caller's own JWT. */
export function managementRoutes(postgrest: Postgrest): Router {
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
    const caller = { authorization: req.headers.authorization, clientIp: contextOf(res).clientIp };
    return await postgrest.rpc(name, args, { caller });
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
