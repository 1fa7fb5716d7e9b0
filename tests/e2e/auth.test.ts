// Logging in over HTTP: tokens, lock-out, sessions, passwords, forged tokens.
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import {
  asOwner,
  callRpc,
  freshEmail,
  logIn,
  PASSWORD,
  platformAdmin,
  refusal,
  registerUser,
  rpcJson,
  type Tokens,
} from "./support/accounts.ts";

const NEW_PASSWORD = "another password for tests";

async function errorOf(response: Response): Promise<string> {
  return `${response.status} ${((await response.json()) as { code: string }).code}`;
}

/** "200", or status and code of the refusal, of a request with this access token. */
async function me(accessToken: string): Promise<string> {
  const response = await callRpc("me", {}, { accessToken });
  return response.ok ? "200" : errorOf(response);
}

const decode = (part: string | undefined): Record<string, unknown> =>
  JSON.parse(Buffer.from(part ?? "", "base64url").toString());
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("registration", () => {
  test("a registered user logs in and is told who it is", async () => {
    const email = freshEmail("Newcomer");
    const registered = await callRpc("register", { email, password: PASSWORD, username: "Newcomer" });
    expect(registered.status).toBe(200);
    const { user_id, ...user } = (await registered.json()) as { user_id: string };
    expect(user).toEqual({ email, username: "Newcomer", status: "pending" });

    const tokens = await logIn(email.toUpperCase());
    expect(tokens).toEqual({
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      token_type: "bearer",
      expires_in: 3600,
    });
    expect(await rpcJson("me", {}, tokens.access_token)).toEqual({
      user_id,
      email,
      username: "Newcomer",
      role: "customer",
      tenant: { id: expect.any(String), name: "Individuals", slug: "default", currency: "CNY" },
      status: "pending",
      balance: "0.0000000000",
      credit_limit: "0.0000000000",
      payer_id: null,
      low_balance_threshold: null,
    });
  });

  test.each([
    [{ email: "no address" }, "400 invalid_email"],
    [{ password: "too short" }, "400 weak_password"],
    [{ password: "x".repeat(73) }, "400 weak_password"],
    [{ username: "" }, "400 invalid_name"],
    [{ username: "x\r\nset-cookie: a=b" }, "400 invalid_name"],
  ])("refuses %j", async (wrong, refused) => {
    const right = { email: freshEmail(), password: PASSWORD, username: "user" };
    expect(await errorOf(await callRpc("register", { ...right, ...wrong }))).toBe(refused);
  });

  test("refuses an address that is taken, in any case", async () => {
    const { email } = await registerUser();
    const response = await callRpc("register", { email: email.toUpperCase(), password: PASSWORD, username: "user" });
    expect(await errorOf(response)).toBe("409 email_taken");
  });

  test("of registrations of one address at the same time, one succeeds", async () => {
    const args = { email: freshEmail(), password: PASSWORD, username: "user" };
    const responses = await Promise.all(Array.from({ length: 6 }, () => callRpc("register", args)));
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409, 409]);
  });

  test("SQL in a name stays a name", async () => {
    const username = "'); drop table data.user_profile; --";
    const email = freshEmail();
    await rpcJson("register", { email, password: PASSWORD, username });
    const { access_token } = await logIn(email);
    expect(await rpcJson("me", {}, access_token)).toMatchObject({ username });
  });

  test("is for the anonymous: a role cannot be asked for", async () => {
    const response = await callRpc("register", {
      email: freshEmail(),
      password: PASSWORD,
      username: "user",
      role: "platform_admin",
    });
    expect(response.status).toBe(404);
  });
});

describe("login", () => {
  test("an unknown address and a wrong password get the same answer", async () => {
    const { email } = await registerUser();
    const answers = [];
    for (const address of [email, freshEmail("unknown")]) {
      const response = await callRpc("login", { email: address, password: "wrong" });
      answers.push({ status: response.status, body: await response.json() });
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toEqual({
      status: 401,
      body: {
        code: "invalid_credentials",
        message: "The e-mail address or the password is wrong.",
        details: null,
        hint: null,
      },
    });
  });

  test("an unknown address takes as long as a known one", async () => {
    const { email } = await registerUser();
    const fastest = async (address: string): Promise<number> => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 4; i += 1) {
        const start = performance.now();
        await (await callRpc("login", { email: address, password: "wrong" })).text();
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    const known = await fastest(email);
    const unknown = await fastest(freshEmail("unknown"));
    // bcrypt takes tens of milliseconds, all the rest a few.
    expect(unknown).toBeGreaterThan(known / 2);
    expect(unknown).toBeLessThan(known * 2);
  });

  test.each(["known", "unknown"])("an address (%s) is locked out after five failures", async (kind) => {
    const email = kind === "known" ? (await registerUser()).email : freshEmail("unknown");
    for (let i = 0; i < 5; i += 1) {
      expect(await errorOf(await callRpc("login", { email, password: "wrong" }))).toBe("401 invalid_credentials");
    }
    const locked = await callRpc("login", { email, password: PASSWORD });
    expect(locked.status).toBe(429);
    expect(await locked.json()).toMatchObject({ code: "login_locked" });
    const retryAfter = Number(locked.headers.get("retry-after"));
    expect(retryAfter).toBeGreaterThan(880);
    expect(retryAfter).toBeLessThanOrEqual(900);
  });

  test("guesses in parallel are locked out like guesses in a row", async () => {
    const { email } = await registerUser();
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => errorOf(await callRpc("login", { email, password: "wrong" }))),
    );
    expect(answers.filter((answer) => answer === "401 invalid_credentials")).toHaveLength(5);
    expect(answers.filter((answer) => answer === "429 login_locked")).toHaveLength(15);
  });

  test("is refused as a GET, right or wrong, since the attempt could not be kept", async () => {
    const { email } = await registerUser();
    for (const password of ["wrong", PASSWORD]) {
      const query = new URLSearchParams({ email, password });
      const response = await fetch(`${inject("stack").proxy_url}/rest/rpc/login?${query}`);
      expect(response.status).toBe(405);
      expect(await response.text()).not.toContain("token");
    }
  });

  test("a success starts the count anew", async () => {
    const { email } = await registerUser();
    for (const password of ["1", "2", "3", "4", PASSWORD, "5", "6", "7", "8", PASSWORD]) {
      const response = await callRpc("login", { email, password });
      expect(response.status).toBe(password === PASSWORD ? 200 : 401);
    }
  });
});

describe("sessions", () => {
  const refresh = (token: string): Promise<Response> => callRpc("refresh", { refresh_token: token });

  test("refresh tokens rotate", async () => {
    const { tokens } = await registerUser();
    const next = await rpcJson<Tokens>("refresh", { refresh_token: tokens.refresh_token });
    expect(next).toMatchObject({ token_type: "bearer", expires_in: 3600 });
    expect(next.refresh_token).not.toBe(tokens.refresh_token);
    expect(await me(next.access_token)).toBe("200");
    expect(await me(tokens.access_token)).toBe("200");
    expect((await refresh(next.refresh_token)).status).toBe(200);
  });

  test("a refresh token that comes back ends the session at once, but no other one", async () => {
    const { email, tokens } = await registerUser();
    const other = await logIn(email);
    const next = await rpcJson<Tokens>("refresh", { refresh_token: tokens.refresh_token });
    expect(await errorOf(await refresh(tokens.refresh_token))).toBe("401 invalid_refresh_token");
    expect(await errorOf(await refresh(next.refresh_token))).toBe("401 invalid_refresh_token");
    expect(await me(next.access_token)).toBe("401 session_revoked");
    expect(await me(other.access_token)).toBe("200");
  });

  test("of requests with the same refresh token at the same time, one gets tokens and the session ends", async () => {
    const { tokens } = await registerUser();
    const responses = await Promise.all(Array.from({ length: 5 }, () => refresh(tokens.refresh_token)));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await me(tokens.access_token)).toBe("401 session_revoked");
  });

  test("an unknown refresh token is refused", async () => {
    expect(await errorOf(await refresh("unknown"))).toBe("401 invalid_refresh_token");
  });

  test("after logout both tokens are refused at once", async () => {
    const { email, tokens } = await registerUser();
    const other = await logIn(email);
    expect((await callRpc("logout", {}, { accessToken: tokens.access_token })).status).toBe(204);
    expect(await me(tokens.access_token)).toBe("401 session_revoked");
    expect(await errorOf(await refresh(tokens.refresh_token))).toBe("401 invalid_refresh_token");
    expect(await me(other.access_token)).toBe("200");
  });

  test("a new role ends the sessions of the old one", async () => {
    const user = await registerUser();
    const admin = await platformAdmin();
    await rpcJson("set_user_role", { user_id: user.id, role: "tenant_admin" }, admin.tokens.access_token);
    expect(await me(user.tokens.access_token)).toBe("401 session_revoked");
    const { access_token } = await logIn(user.email);
    expect(decode(access_token.split(".")[1])).toMatchObject({ role: "tenant_admin" });
    await rpcJson("set_user_role", { user_id: user.id, role: "customer" }, admin.tokens.access_token);
  });

  test("the session keeps where it came from", async () => {
    const email = freshEmail();
    await rpcJson("register", { email, password: PASSWORD, username: "user" });
    await callRpc(
      "login",
      { email, password: PASSWORD },
      { headers: { "user-agent": "a test", "x-real-ip": "6.6.6.6" } },
    );
    const { rows } = await asOwner((client) =>
      client.query(
        "select host(s.client_ip) as ip, s.user_agent from auth.session s join auth.login l on l.id = s.login_id where l.email = $1",
        [email],
      ),
    );
    expect(rows).toEqual([
      { ip: expect.stringMatching(/^(127\.0\.0\.1|::1|::ffff:127\.0\.0\.1)$/), user_agent: "a test" },
    ]);
  });
});

describe("passwords", () => {
  test("changing it ends the other sessions", async () => {
    const { email, tokens } = await registerUser();
    const other = await logIn(email);
    const change = (current_password: string, new_password: string): Promise<Response> =>
      callRpc("change_password", { current_password, new_password }, { accessToken: tokens.access_token });
    expect(await errorOf(await change("wrong", NEW_PASSWORD))).toBe("403 wrong_password");
    expect(await errorOf(await change(PASSWORD, "short"))).toBe("400 weak_password");
    expect(await (await change(PASSWORD, NEW_PASSWORD)).json()).toEqual({ revoked_sessions: 1 });
    expect(await me(tokens.access_token)).toBe("200");
    expect(await me(other.access_token)).toBe("401 session_revoked");
    expect((await callRpc("login", { email, password: PASSWORD })).status).toBe(401);
    expect((await callRpc("login", { email, password: NEW_PASSWORD })).status).toBe(200);
  });

  test("asking for a reset is answered alike for every address", async () => {
    const { email } = await registerUser();
    for (const address of [email, freshEmail("unknown")]) {
      const response = await callRpc("request_password_reset", { email: address });
      expect(`${response.status} ${await response.text()}`).toBe("204 ");
    }
    expect(await errorOf(await callRpc("request_password_reset", { email: "nobody" }))).toBe("400 invalid_email");
  });

  test("a token issued by an admin sets a new one, once, also for a user who is locked out", async () => {
    const user = await registerUser();
    for (let i = 0; i < 5; i += 1) await callRpc("login", { email: user.email, password: "wrong" });
    const admin = await platformAdmin();
    const { token, purpose } = await rpcJson<{ token: string; purpose: string }>(
      "issue_password_token",
      { user_id: user.id },
      admin.tokens.access_token,
    );
    expect(purpose).toBe("reset");
    expect(await errorOf(await callRpc("reset_password", { token, new_password: "short" }))).toBe("400 weak_password");
    expect((await callRpc("reset_password", { token, new_password: NEW_PASSWORD })).status).toBe(204);
    expect(await me(user.tokens.access_token)).toBe("401 session_revoked");
    expect((await callRpc("login", { email: user.email, password: NEW_PASSWORD })).status).toBe(200);
    expect(await errorOf(await callRpc("reset_password", { token, new_password: PASSWORD }))).toBe(
      "400 invalid_password_token",
    );
  });

  test("only admins issue tokens", async () => {
    const user = await registerUser();
    expect(await refusal(user.api.rpc("issue_password_token", { user_id: user.id }))).toBe("403 42501");
  });
});

describe("forged access tokens", () => {
  test("are refused", async () => {
    const { tokens } = await registerUser();
    const [header, payload, signature] = tokens.access_token.split(".");
    const claims = decode(payload);
    const admin = encode({ ...claims, role: "platform_admin" });
    const withKey = (key: string, alg: string): string => {
      const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${admin}`;
      return `${signed}.${createHmac(alg, key).update(signed).digest("base64url")}`;
    };
    const forged = {
      "other claims": `${header}.${admin}.${signature}`,
      "no algorithm": `${encode({ alg: "none", typ: "JWT" })}.${admin}.`,
      "no algorithm, old signature": `${encode({ alg: "none", typ: "JWT" })}.${payload}.${signature}`,
      "no signature": `${header}.${payload}.`,
      "another key": withKey("another key that is long enough to sign", "sha256"),
      "an empty key": withKey("", "sha256"),
      "another algorithm": `${encode({ alg: "HS512", typ: "JWT" })}.${payload}.${signature}`,
      "half a token": tokens.access_token.slice(0, 40),
      "a virtual key": inject("stack").demo.virtual_key,
    };
    for (const [name, token] of Object.entries(forged)) {
      expect((await callRpc("me", {}, { accessToken: token })).status, name).toBe(401);
    }
    expect(await me(tokens.access_token)).toBe("200");
  });

  test("an expired one is refused, to the second", async () => {
    const { id, tokens } = await registerUser();
    // An access token does not outlive its session: with two seconds left, it gets no more.
    await asOwner((client) =>
      client.query("update auth.session set expires_at = app.now() + interval '2.5 seconds' where login_id = $1", [id]),
    );
    const last = await rpcJson<Tokens>("refresh", { refresh_token: tokens.refresh_token });
    expect(last.expires_in).toBeLessThanOrEqual(2);
    await asOwner((client) =>
      client.query("update auth.session set expires_at = app.now() + interval '1 day' where login_id = $1", [id]),
    );
    expect(await me(last.access_token)).toBe("200");
    await sleep(2_000);
    expect(await me(last.access_token)).toBe("401 access_token_expired");
    expect((await callRpc("refresh", { refresh_token: last.refresh_token })).status).toBe(200);
  });

  test("without one, the management API is closed but for logging in", async () => {
    const { proxy_url } = inject("stack");
    for (const path of ["user_profile", "tenant", "notification", "audit_log", "setting", "status_log"]) {
      expect((await fetch(`${proxy_url}/rest/${path}`)).status, path).toBe(401);
    }
    for (const name of ["me", "logout", "notifications"]) {
      expect((await callRpc(name, {})).status, name).toBe(401);
    }
  });
});
