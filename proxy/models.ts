import { Router } from "express";
import { requireVirtualKey } from "./ai.ts";
import { contextOf } from "./context.ts";
import { ApiError } from "./errors.ts";
import type { Gateway } from "./gateway.ts";
import { arrayOf, objectOf } from "./json.ts";

/** GET /v1/models and /v1/models/ID: the models the caller's key may use. */
export function modelRoutes(gateway: Gateway): Router {
  const router = Router();

  router.get("/v1/models", async (req, res) => {
    res.json(await gateway.listModels(requireVirtualKey(req), contextOf(res)));
  });

  router.get("/v1/models/*id", async (req, res) => {
    const id = [req.params.id].flat().join("/");
    const list = objectOf(await gateway.listModels(requireVirtualKey(req), contextOf(res)));
    const model = arrayOf(list.data).find((candidate) => objectOf(candidate).id === id);
    if (model === undefined) throw new ApiError(404, "model_not_found", "There is no such model for this key.");
    res.json(model);
  });

  return router;
}
