import { z } from "zod";
import { parseEnv, portSchema } from "../env.ts";

const schema = z.object({
  PROVIDER_HOST: z.string().min(1).default("127.0.0.1"),
  PROVIDER_PORT: portSchema.default(8790),
});

export const VARIABLES = Object.keys(schema.shape);

export const config = parseEnv(schema, process.env);
