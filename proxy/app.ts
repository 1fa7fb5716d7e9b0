import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from "express";
import type { Logger } from "pino";
import { aiRoute, type Services } from "./ai.ts";
import { contextOf, startContext } from "./context.ts";
import { ENDPOINTS } from "./endpoints.ts";
import { ApiError, CLIENT_CLOSED_REQUEST, errorBody, toApiError } from "./errors.ts";
import { healthRoute } from "./health.ts";
import { hasKeyInQuery, loggablePath } from "./log.ts";
import { managementRoutes, restPassThrough } from "./management.ts";
import type { Metrics } from "./metrics.ts";
import { modelRoutes } from "./models.ts";
import type { Postgrest } from "./postgrest.ts";

export type AppParts = {
  postgrest: Postgrest;
  log: Logger;
  /** False from the beginning of the shutdown on. */
  isReady: () => boolean;
  /** Resolves when calls obey every change of configuration committed before. */
  catchUp: () => Promise<void>;
};

/** All routes of the proxy. */
export function createApp(services: Services, { postgrest, log, isReady, catchUp }: AppParts): Express {
  const { config, gateway, metrics } = services;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("trust proxy", config.TRUST_PROXY);

  app.use(observe(log, metrics, isReady));
  app.get("/health", healthRoute(services, isReady));
  app.use(["/v1", "/api/chat"], refuseKeyInUrl);
  for (const endpoint of ENDPOINTS) app.post(`/v1/${endpoint}`, aiRoute(services, endpoint));
  app.post("/api/chat/completions", aiRoute(services, "chat/completions"));
  app.use(modelRoutes(gateway));
  app.use(managementRoutes(postgrest, catchUp));
  // PostgREST logs queries. There, prefixes of keys are filtered by.
  app.use(
    "/rest",
    refuseWholeKeyInUrl,
    restPassThrough({ postgrestUrl: config.POSTGREST_URL, onError: sendError, catchUp }),
  );
  app.use(() => {
    throw new ApiError(404, "unknown_endpoint", "There is no such endpoint.");
  });
  app.use(handleError);
  return app;
}

/** Gives each request its context and x-request-id, and logs and counts it when its response is done. */
function observe(log: Logger, metrics: Metrics, isReady: () => boolean): RequestHandler {
  return (req, res, next) => {
    const context = startContext(req, res, log);
    const { requestId, elapsedMs, errorShape } = context;
    res.setHeader("x-request-id", requestId);
    if (errorShape === "anthropic") res.setHeader("request-id", requestId);
    if (!isReady()) res.setHeader("connection", "close");
    res.on("error", (error) => context.log.debug({ err: error }, "the response could not be written"));
    res.on("close", () => {
      const route = req.route?.path ?? (req.baseUrl === "/rest" ? "/rest" : "none");
      const status = res.headersSent ? res.statusCode : CLIENT_CLOSED_REQUEST;
      metrics.request(String(route), status, elapsedMs(), res.locals.errorCode);
      const path = loggablePath(req.originalUrl);
      // A call that went well is in usage_log.
      const isOrdinary = route === "/health" || (status < 400 && res.writableFinished && /^\/(v1|api)\//.test(path));
      const level = isOrdinary ? "debug" : "info";
      if (!context.isLogged(level)) return;
      const ended = { method: req.method, path, status, latency_ms: elapsedMs() };
      context.log[level]({ ...ended, client_left: !res.writableFinished, error_code: res.locals.errorCode }, "request");
    });
    next();
  };
}

const refuseKeyInUrl = refuseUrl((url) => hasKeyInQuery(url));
const refuseWholeKeyInUrl = refuseUrl((url) => hasKeyInQuery(url, true));

function refuseUrl(hasKey: (url: string) => boolean): RequestHandler {
  return (req, _res, next) => {
    if (!hasKey(req.originalUrl)) return next();
    throw new ApiError(
      400,
      "key_in_url",
      "A virtual key must not be part of a URL: send it in a header, and replace this one.",
    );
  };
}

const handleError: ErrorRequestHandler = (thrown, _req, res, _next) => sendError(toApiError(thrown), res);

function sendError(error: ApiError, res: Response): void {
  const { log, errorShape, requestId } = contextOf(res);
  res.locals.errorCode = error.code;
  if (error.cause !== undefined) log.error({ err: error.cause, code: error.code }, error.message);
  if (res.headersSent || res.closed) return void res.destroy();
  res
    .status(error.status)
    .set(error.headers)
    .json(errorBody(error, errorShape, requestId));
}
