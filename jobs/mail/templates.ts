export interface MailContent {
  subject: string;
  text: string;
  html: string;
}

export type Language = "en" | "zh";

export interface MailContext {
  username: string;
  language: Language;
  /** Base URL of the web front end; empty when there is none. */
  appUrl: string;
}

/** What a notification says, before it is laid out. Everything in it is plain text. */
interface Copy {
  subject: string;
  lines: string[];
}

type Payload = Record<string, unknown>;
type CopyWriter = (payload: Facts) => Copy;

/** The facts of an event as text: absent ones are empty, money without needless zeros. */
class Facts {
  readonly #payload: Payload;
  readonly #currency: string;
  readonly language: Language;

  constructor(payload: Payload, currency: string, language: Language) {
    this.#payload = payload;
    this.#currency = currency;
    this.language = language;
  }

  text(name: string): string {
    const value = this.#payload[name];
    return value === null || value === undefined ? "" : String(value);
  }

  money(name: string): string {
    const amount = this.text(name)
      .replace(/(\.\d*?)0+$/, "$1")
      .replace(/\.$/, "");
    return `${amount} ${this.text("currency") || this.#currency}`;
  }

  time(name: string): string {
    return formatTime(this.text(name));
  }

  /** The models of a price rise, one line each: what is priced, the price before and after. */
  priceRises(): string[] {
    const models = this.#payload.models;
    if (!Array.isArray(models)) return [];
    return models.map(({ model, prices }: { model: string; prices: { unit: string; old: string; new: string }[] }) => {
      const changes = prices.map((price) => `${price.unit} ${trimZeros(price.old)} → ${trimZeros(price.new)}`);
      return `${model}: ${changes.join(", ")} ${this.text("currency")}`;
    });
  }

  key(): string {
    return this.language === "zh"
      ? `“${this.text("name")}”(${this.text("key_prefix")}…)`
      : `"${this.text("name")}" (${this.text("key_prefix")}…)`;
  }
}

const trimZeros = (amount: string): string => amount.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

const formatTime = (iso: string): string => {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;
};

const english: Record<string, CopyWriter> = {
  "account.welcome": () => ({
    subject: "Welcome to Neuropia",
    lines: ["Your account has been made. Top it up to activate it; then create a virtual key and start calling."],
  }),
  "account.active": (facts) => ({
    subject: "Your account is active",
    lines: [`Your balance is ${facts.money("balance")}. Your virtual keys work from now on.`],
  }),
  "account.low_balance": (facts) => ({
    subject: "Your balance is low",
    lines: [
      `Your balance has fallen to ${facts.money("balance")}; you asked to be told at ${facts.money("threshold")}.`,
    ],
  }),
  "account.running_out": (facts) => ({
    subject: "Your balance will soon run out",
    lines: [
      `Your balance is ${facts.money("balance")}. At ${facts.money("spend_per_day")} a day, as you spent lately, it lasts about ${facts.text("days_left")} more days.`,
    ],
  }),
  "account.overdue": (facts) => ({
    subject: "Your account is overdue",
    lines: [`Your balance is used up: it is ${facts.money("balance")}. Calls are refused until you top it up.`],
  }),
  "account.reactivated": (facts) => ({
    subject: "Your account is active again",
    lines: [`Your balance is ${facts.money("balance")}. Your virtual keys work again.`],
  }),
  "account.pending": () => ({
    subject: "Your account waits for its first top-up",
    lines: ["Top it up to activate it."],
  }),
  "account.suspended": (facts) => ({
    subject: "Your account has been suspended",
    lines: [`Calls are refused. Reason: ${facts.text("reason")}`],
  }),
  "payment.received": (facts) => ({
    subject: `Payment received: ${facts.money("amount")}`,
    lines: [
      `We have received ${facts.money("amount")} (reference ${facts.text("reference")}).`,
      `Your balance is ${facts.money("balance")}.`,
    ],
  }),
  "payment.refunded": (facts) => ({
    subject: `Refunded: ${facts.money("amount")}`,
    lines: [
      `A payment of yours was refunded by ${facts.money("amount")} (order ${facts.text("order_id")}).`,
      `Your balance is ${facts.money("balance")}.`,
    ],
  }),
  "payment.disputed": (facts) => ({
    subject: `A payment is disputed: ${facts.money("amount")}`,
    lines: [
      `Until the dispute is settled, ${facts.money("amount")} (order ${facts.text("order_id")}) are taken off your balance.`,
      `Your balance is ${facts.money("balance")}.`,
    ],
  }),
  "payment.dispute_won": (facts) => ({
    subject: `A dispute is settled: ${facts.money("amount")}`,
    lines: [
      `The ${facts.money("amount")} (order ${facts.text("order_id")}) that the dispute took off your balance are back.`,
      `Your balance is ${facts.money("balance")}.`,
    ],
  }),
  "price.rise": (facts) => ({
    subject: "Prices will rise",
    lines: [`From ${facts.time("valid_from")} on these models cost more than now:`, ...facts.priceRises()],
  }),
  "key.created": (facts) => ({
    subject: "A virtual key was created",
    lines: [`The virtual key ${facts.key()} was created.`],
  }),
  "key.rotated": (facts) => ({
    subject: "A virtual key was rotated",
    lines: [
      `The virtual key ${facts.key()} has a new secret.`,
      facts.text("previous_key_expires_at") === ""
        ? "The one before it no longer works."
        : `The one before it works until ${facts.time("previous_key_expires_at")}.`,
    ],
  }),
  "key.expiring": (facts) => ({
    subject: "A virtual key is about to expire",
    lines: [`The virtual key ${facts.key()} stops working at ${facts.time("expires_at")}.`],
  }),
  "key.budget_warning": (facts) => ({
    subject: "A virtual key has spent 80 % of its budget",
    lines: [`The virtual key ${facts.key()} has spent ${facts.money("budget_spent")} of ${facts.money("budget")}.`],
  }),
  "key.budget_exhausted": (facts) => ({
    subject: "A virtual key has used up its budget",
    lines: [
      `The virtual key ${facts.key()} has spent ${facts.money("budget_spent")} of ${facts.money("budget")}. Its calls are refused.`,
    ],
  }),
  "webhook.disabled": (facts) => ({
    subject: "A webhook endpoint was disabled",
    lines: [
      `We could not deliver to ${facts.text("url")}, so nothing is posted there any more.`,
      `The last reason: ${facts.text("reason")}`,
      "Switch it on again when it works.",
    ],
  }),
  "payment.rejected": (facts) => ({
    subject: "A payment needs to be looked at",
    lines: [
      `An event of the channel ${facts.text("channel")} was not booked: ${facts.text("outcome")}.`,
      `Event ${facts.text("event_id")}, order ${facts.text("order_id")}.`,
    ],
  }),
  "provider.failing": (facts) => ({
    subject: `Provider failing: ${facts.text("provider")}`,
    lines: [
      `${facts.text("provider")} failed ${facts.text("failures")} times in a row (${facts.text("error_code")}) and comes last until ${facts.time("disabled_until")}.`,
      `Model: ${facts.text("model")} (${facts.text("upstream_model")}). Provider key: ${facts.text("provider_key")}.`,
    ],
  }),
  "provider.key_refused": (facts) => ({
    subject: `Provider key refused: ${facts.text("provider")}`,
    lines: [
      `${facts.text("provider")} does not accept the key "${facts.text("provider_key")}" any more. It has been switched off.`,
    ],
  }),
  "reconciliation.difference": (facts) => ({
    subject: "Reconciliation found differences",
    lines: [`Reconciliation ${facts.text("reconciliation_id")} found ${facts.text("differences")} differences.`],
  }),
};

const chinese: Record<string, CopyWriter> = {
  "account.welcome": () => ({
    subject: "欢迎使用 Neuropia",
    lines: ["您的账户已创建。充值后账户即被激活,随后可创建虚拟密钥并开始调用。"],
  }),
  "account.active": (facts) => ({
    subject: "您的账户已激活",
    lines: [`当前余额为 ${facts.money("balance")},您的虚拟密钥现在可以使用。`],
  }),
  "account.low_balance": (facts) => ({
    subject: "余额不足提醒",
    lines: [`您的余额已降至 ${facts.money("balance")},您设置的提醒值为 ${facts.money("threshold")}。`],
  }),
  "account.running_out": (facts) => ({
    subject: "您的余额即将用尽",
    lines: [
      `当前余额为 ${facts.money("balance")}。按近期每天 ${facts.money("spend_per_day")} 的用量,预计还可使用约 ${facts.text("days_left")} 天。`,
    ],
  }),
  "account.overdue": (facts) => ({
    subject: "您的账户已欠费",
    lines: [`您的余额已用尽,当前为 ${facts.money("balance")}。充值之前,调用将被拒绝。`],
  }),
  "account.reactivated": (facts) => ({
    subject: "您的账户已恢复",
    lines: [`当前余额为 ${facts.money("balance")},您的虚拟密钥已恢复使用。`],
  }),
  "account.pending": () => ({
    subject: "您的账户等待首次充值",
    lines: ["充值后账户即被激活。"],
  }),
  "account.suspended": (facts) => ({
    subject: "您的账户已被暂停",
    lines: [`调用将被拒绝。原因:${facts.text("reason")}`],
  }),
  "payment.received": (facts) => ({
    subject: `已收到付款:${facts.money("amount")}`,
    lines: [
      `我们已收到 ${facts.money("amount")}(单号 ${facts.text("reference")})。`,
      `当前余额为 ${facts.money("balance")}。`,
    ],
  }),
  "payment.refunded": (facts) => ({
    subject: `已退款:${facts.money("amount")}`,
    lines: [
      `您的付款(订单 ${facts.text("order_id")})已退款 ${facts.money("amount")}。`,
      `当前余额为 ${facts.money("balance")}。`,
    ],
  }),
  "payment.disputed": (facts) => ({
    subject: `付款存在争议:${facts.money("amount")}`,
    lines: [
      `争议解决之前,已从您的余额中扣除 ${facts.money("amount")}(订单 ${facts.text("order_id")})。`,
      `当前余额为 ${facts.money("balance")}。`,
    ],
  }),
  "payment.dispute_won": (facts) => ({
    subject: `付款争议已解决:${facts.money("amount")}`,
    lines: [
      `因争议扣除的 ${facts.money("amount")}(订单 ${facts.text("order_id")})已退回您的余额。`,
      `当前余额为 ${facts.money("balance")}。`,
    ],
  }),
  "price.rise": (facts) => ({
    subject: "价格上调通知",
    lines: [`自 ${facts.time("valid_from")} 起,以下模型的价格将上调:`, ...facts.priceRises()],
  }),
  "key.created": (facts) => ({
    subject: "已创建虚拟密钥",
    lines: [`虚拟密钥${facts.key()}已创建。`],
  }),
  "key.rotated": (facts) => ({
    subject: "虚拟密钥已轮换",
    lines: [
      `虚拟密钥${facts.key()}已更换。`,
      facts.text("previous_key_expires_at") === ""
        ? "原密钥已失效。"
        : `原密钥在 ${facts.time("previous_key_expires_at")} 之前仍可使用。`,
    ],
  }),
  "key.expiring": (facts) => ({
    subject: "虚拟密钥即将到期",
    lines: [`虚拟密钥${facts.key()}将于 ${facts.time("expires_at")} 失效。`],
  }),
  "key.budget_warning": (facts) => ({
    subject: "虚拟密钥已使用 80% 的预算",
    lines: [`虚拟密钥${facts.key()}已花费 ${facts.money("budget_spent")},预算为 ${facts.money("budget")}。`],
  }),
  "key.budget_exhausted": (facts) => ({
    subject: "虚拟密钥的预算已用完",
    lines: [
      `虚拟密钥${facts.key()}已花费 ${facts.money("budget_spent")},预算为 ${facts.money("budget")}。其调用将被拒绝。`,
    ],
  }),
  "webhook.disabled": (facts) => ({
    subject: "Webhook 地址已停用",
    lines: [
      `我们无法投递到 ${facts.text("url")},因此不再向其发送。`,
      `最后一次的原因:${facts.text("reason")}`,
      "恢复正常后,您可以重新启用它。",
    ],
  }),
  "payment.rejected": (facts) => ({
    subject: "有一笔付款需要处理",
    lines: [
      `渠道 ${facts.text("channel")} 的事件未入账:${facts.text("outcome")}。`,
      `事件 ${facts.text("event_id")},订单 ${facts.text("order_id")}。`,
    ],
  }),
  "provider.failing": (facts) => ({
    subject: `供应商连续失败:${facts.text("provider")}`,
    lines: [
      `${facts.text("provider")} 已连续失败 ${facts.text("failures")} 次(${facts.text("error_code")}),在 ${facts.time("disabled_until")} 之前排在最后。`,
      `模型:${facts.text("model")}(${facts.text("upstream_model")})。供应商密钥:${facts.text("provider_key")}。`,
    ],
  }),
  "provider.key_refused": (facts) => ({
    subject: `供应商密钥被拒绝:${facts.text("provider")}`,
    lines: [`${facts.text("provider")} 不再接受密钥“${facts.text("provider_key")}”,该密钥已停用。`],
  }),
  "reconciliation.difference": (facts) => ({
    subject: "对账发现差异",
    lines: [`对账 ${facts.text("reconciliation_id")} 发现 ${facts.text("differences")} 处差异。`],
  }),
};

const COPY: Record<Language, Record<string, CopyWriter>> = { en: english, zh: chinese };

/** The events that have a template of their own, by language; any other is told by its name and facts. */
export const TEMPLATE_EVENTS = { en: Object.keys(english), zh: Object.keys(chinese) };

const WORDS = {
  en: {
    greeting: (name: string) => `Hello ${name},`,
    footer: "Neuropia. You choose which notifications you get by e-mail in your notification preferences.",
    event: (event: string) => `Notification: ${event}`,
    open: "Open Neuropia",
  },
  zh: {
    greeting: (name: string) => `${name},您好:`,
    footer: "Neuropia。您可以在通知设置中选择通过邮件接收哪些通知。",
    event: (event: string) => `通知:${event}`,
    open: "打开 Neuropia",
  },
} as const;

/** The mail of a notification. `currency`: that of the account. */
export function notificationMail(
  context: MailContext,
  event: string,
  payload: Payload,
  createdAt: string,
  currency: string,
): MailContent {
  const words = WORDS[context.language];
  const write = COPY[context.language][event];
  const copy = write?.(new Facts(payload, currency, context.language)) ?? {
    subject: words.event(event),
    lines: Object.entries(payload).map(
      ([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
    ),
  };
  return layOut(context, copy.subject, [...copy.lines, formatTime(createdAt)], {
    label: words.open,
    url: context.appUrl,
  });
}

/** The mail that brings a password reset token or an invitation. */
export function passwordMail(
  context: MailContext,
  purpose: "reset" | "invitation",
  token: string,
  expiresAt: string,
): MailContent {
  const copy = PASSWORD_COPY[context.language][purpose];
  const url = context.appUrl === "" ? "" : `${context.appUrl}/${copy.path}#token=${encodeURIComponent(token)}`;
  const lines = [copy.line, copy.expiry(formatTime(expiresAt))];
  if (url === "") lines.push(copy.token(token));
  return layOut(context, copy.subject, [...lines, copy.ignore], { label: copy.action, url });
}

const PASSWORD_COPY = {
  en: {
    reset: {
      subject: "Reset your password",
      path: "reset-password",
      line: "Somebody, hopefully you, asked for a new password for your account.",
      expiry: (time: string) => `This works once, until ${time}.`,
      token: (token: string) => `Your token for reset_password: ${token}`,
      action: "Choose a new password",
      ignore: "If it was not you, do nothing: your password stays as it is.",
    },
    invitation: {
      subject: "You are invited to Neuropia",
      path: "accept-invitation",
      line: "An account has been made for you. Choose a password to use it.",
      expiry: (time: string) => `This works once, until ${time}.`,
      token: (token: string) => `Your token for reset_password: ${token}`,
      action: "Choose a password",
      ignore: "If you expect no invitation, ignore this mail.",
    },
  },
  zh: {
    reset: {
      subject: "重置您的密码",
      path: "reset-password",
      line: "有人(应该是您本人)请求重置您账户的密码。",
      expiry: (time: string) => `仅可使用一次,有效期至 ${time}。`,
      token: (token: string) => `用于 reset_password 的令牌:${token}`,
      action: "设置新密码",
      ignore: "如果不是您本人的操作,请忽略此邮件,密码不会改变。",
    },
    invitation: {
      subject: "邀请您使用 Neuropia",
      path: "accept-invitation",
      line: "已为您创建账户。请设置密码后使用。",
      expiry: (time: string) => `仅可使用一次,有效期至 ${time}。`,
      token: (token: string) => `用于 reset_password 的令牌:${token}`,
      action: "设置密码",
      ignore: "如果您并未期待此邀请,请忽略此邮件。",
    },
  },
} as const;

function layOut(
  context: MailContext,
  subject: string,
  lines: string[],
  link: { label: string; url: string },
): MailContent {
  const words = WORDS[context.language];
  const greeting = oneLine(words.greeting(context.username));
  const plain = lines.map(oneLine);
  const linked = link.url !== "";
  return {
    subject: oneLine(subject),
    text: `${[greeting, ...plain, ...(linked ? [`${link.label}: ${link.url}`] : []), `-- \n${words.footer}`].join("\n\n")}\n`,
    html: [
      `<!doctype html><html lang="${context.language}"><head><meta charset="utf-8"><title>${escapeHtml(oneLine(subject))}</title></head>`,
      '<body style="font-family:sans-serif;line-height:1.5">',
      ...[greeting, ...plain].map((line) => `<p>${escapeHtml(line)}</p>`),
      ...(linked ? [`<p><a href="${escapeHtml(link.url)}">${escapeHtml(link.label)}</a></p>`] : []),
      `<p style="color:#777;font-size:small">${escapeHtml(words.footer)}</p>`,
      "</body></html>",
    ].join("\n"),
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f\u2028\u2029]+/g, " ").trim();

const HTML_ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => HTML_ESCAPES[character] as string);
