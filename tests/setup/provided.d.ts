import type { StackInfo } from "../../stack/stack.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The running stack, as in its stack.json. */
    stack: TestStack;
    /** The directory of the stack's logs. PostgREST logs every request. */
    logs: string;
    /** The environment of the stack's proxy, to start more like it. */
    proxyEnv: NodeJS.ProcessEnv;
    /** Likewise of its PostgREST. */
    postgrestEnv: NodeJS.ProcessEnv;
    /** What the stack's worker mailed: GET url?to=address. */
    mailbox: { url: string; smtp_url: string };
    /**
     * A deployed database with pgTAP in schema `tap` and the helpers of db/tests in schema `tests`, and another such for
     * the files of db/tests alone, which expect to find no rows of others. `template` is the name of one to copy: nobody
     * may connect to it.
     */
    pgtap: { database_url: string; files_database_url: string; template: string };
    /** The stand-in of Stripe that the stack's worker talks to. */
    stripe: { url: string };
  }

  /** The tests' stack always has a demo provider and demo accounts. */
  type TestStack = StackInfo & {
    provider_url: string;
    demo: NonNullable<StackInfo["demo"]>;
  };
}
