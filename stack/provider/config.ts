import { z } from "zod";
import { parseEnv } from "../env.ts";

export const config = parseEnv(
  z.object({
    PROVIDER_HOST: z.string().min(1).default("127.0.0.1"),
    PROVIDER_PORT: z.coerce.number().int().min(0).max(65535).default(8790),
  }),
  process.env,
);
