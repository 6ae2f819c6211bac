import type { WorldRequest } from '../../../src/base/world.ts';
import type { FaultEffect, Simulator } from '../../../src/simulator/index.ts';
import type { Dice } from '../host/dice.ts';
import { spoolDirectory } from '../host/disk.ts';
import { type JudgedGrant, nameOf } from '../judge/judge.ts';
import type { KnownToken } from '../judge/known-token.ts';
import { Call, type Flight, type Traffic } from './call.ts';
import type { Chances } from './chances.ts';
import type { Life } from './life.ts';
import { oddAnswer, unstorableAnswer } from './odd-answers.ts';
import type { WorldState } from './state.ts';

/** The grant and the token of a request. */
interface About {
  readonly grant: JudgedGrant | undefined;
  /** It asks for tokens. */
  readonly isToken: boolean;
  /** The refresh token that it presents. */
  readonly spent: string | null;
  readonly sentAt: number;
  readonly sender: Life;
  /** The authorization code that it presents. */
  readonly code: string | null;
}

/** Longest delay of a request whose sender died. Half of a renewed lease leaves at least this long. */
const afterDeathMs = 900;
/** A refusal is looked at again after 30 s; less what clocks may do. */
const secondLookMs = 20_000;
/** So long after an answer came it is in the spool and outlives its process: it is written in the turn in which it came. */
const keptWithinMs = 1;
/** So long after it came, with a disk of usual speed, it is flushed and outlives the power too. */
const flushedWithinMs = 20;
/** A lease is taken no longer than this before its request is sent. */
const claimedBeforeMsMax = 30_000;
/** A provider that takes longer than this to look at a request never looks at it. */
const slowRequestMsMax = 40_000;

/**
 * The network between the processes and the simulated providers: it is slow, loses requests and answers, and delivers
 * late. The provider acts in one step when a request arrives.
 */
export class Network {
  readonly #calls = new Set<Call>();
  /** Answers that arrived and are not known to be stored, by the life that has them. */
  readonly carried = new Map<
    Life,
    { grant: JudgedGrant; refreshToken: string; attemptId: string | null; at: number; pausedMs: number }[]
  >();
  readonly #state: WorldState;
  readonly #traffic: Traffic;
  readonly #chances: Chances;
  readonly #simulator: Simulator;
  readonly #dice: Dice;

  constructor(state: WorldState, parts: { traffic: Traffic; chances: Chances; dice: Dice }) {
    this.#state = state;
    this.#simulator = state.simulator;
    this.#traffic = parts.traffic;
    this.#chances = parts.chances;
    this.#dice = parts.dice;
  }

  connectMs(): number {
    return this.#dice.chance(0.02) ? this.#dice.between(500, 9_000) : this.#dice.between(1, 40);
  }

  /** A process is about to connect. */
  asks(init: WorldRequest): void {
    if (typeof init.body !== 'string') return;
    const parameters = new URLSearchParams(init.body);
    const redeemed = this.#state.redeemed.get(parameters.get('code') ?? '');
    if (redeemed !== undefined) redeemed.sentAt ??= this.#state.scheduler.now;
    const grant = this.#grantOf(parameters);
    if (grant !== undefined) this.#traffic.askedAt.set(grant, this.#state.scheduler.now);
  }

  async send(life: Life, url: string, init: WorldRequest): Promise<Response> {
    const parameters = new URLSearchParams(typeof init.body === 'string' ? init.body : '');
    const grant = this.#grantOf(parameters);
    const isRefresh = parameters.get('grant_type') === 'refresh_token';
    const flight = isRefresh && grant !== undefined ? this.#takeOff(grant, life, parameters) : null;
    const authorization = new Headers(init.headers).get('authorization');
    if (authorization?.startsWith('Bearer ') === true) this.#state.judge.used(authorization.slice(7));
    return new Promise<Response>((resolve, reject) => {
      const call = new Call(life, resolve, reject, flight);
      this.#calls.add(call);
      init.signal?.addEventListener('abort', () => call.fail(init.signal?.reason), { once: true });
      const request = new Request(url, {
        method: init.method,
        headers: init.headers,
        body: typeof init.body === 'string' ? init.body : null,
        redirect: 'manual',
      });
      const spent = parameters.get('refresh_token');
      const sentAt = this.#state.scheduler.now;
      const code = parameters.get('code');
      this.#carry(call, request, { grant, isToken: parameters.has('grant_type'), spent, sentAt, sender: life, code });
    });
  }

  /** A process is gone, so its answers have no receiver. */
  died(life: Life, how: string): void {
    const { plan, scheduler } = this.#state;
    const runsMs = scheduler.now - (life.paused ? scheduler.now - life.pausedSince : 0) - life.pausedMs;
    const withinMs = how === 'power' ? flushedWithinMs * plan.slowness : keptWithinMs;
    for (const call of this.#calls) if (call.life === life) call.drop();
    const carried = (this.carried.get(life) ?? []).map(({ grant, refreshToken, attemptId, at, pausedMs }) => ({
      grant,
      refreshToken,
      mustBeKept: runsMs - (at - pausedMs) > withinMs,
      inSpool: attemptId !== null && this.#state.isSpooled(attemptId),
    }));
    this.carried.delete(life);
    this.#state.judge.died(carried);
  }

  /** The disk failed: at the file of one attempt, or at the directory, for every answer that is not stored. */
  diskFailed(life: Life, path: string): void {
    const { judge } = this.#state;
    const [, attemptId] = path.slice(path.lastIndexOf('/') + 1).split('.');
    const inDoubt = path === spoolDirectory ? (this.carried.get(life) ?? []) : [{ attemptId }];
    for (const each of inDoubt) if (typeof each.attemptId === 'string') judge.diskFailed(each.attemptId);
  }

  #carry(call: Call, request: Request, about: About): void {
    const { scheduler } = this.#state;
    const { life } = call;
    if (this.#strikes('reset_before', about.isToken)) {
      call.arriveAfter(this.#state, this.#dice.between(1, 3_000), 'reset', () => call.fail(lostConnection()));
      call.over();
      return;
    }
    const slow = this.#strikes('slow_request', about.isToken);
    const ms = slow ? this.#dice.between(1_000, slowRequestMsMax) : this.#dice.between(2, 120);
    const dueAt = scheduler.now + ms;
    const deliver = (): void => {
      // A request whose sender died arrives soon or never.
      if (life.dead && dueAt > life.diedAt + afterDeathMs) call.over();
      else this.#process(call, request, about);
    };
    scheduler.after(ms, null, `request of ${life.name} arrives`, deliver);
  }

  /** The provider acts; what it says goes back, or gets lost. */
  #process(call: Call, request: Request, about: About): void {
    const { scheduler, judge, coverage } = this.#state;
    const effect = about.isToken ? this.#effectFor(about.grant) : null;
    const fault = effect === null ? null : this.#simulator.faults.add({ endpoint: 'token', effect });
    let answered = false;
    const seen = this.#simulator.history.total;
    const kept = about.grant === undefined ? [] : judge.livingTokens(about.grant);
    const act = async (): Promise<void> => {
      const response = await this.#simulator.fetch(request);
      const body = Buffer.from(await response.arrayBuffer());
      answered = true;
      if (fault !== null) this.#simulator.faults.remove(fault);
      const tokens = this.#learn(about, body, seen);
      if (about.grant !== undefined) this.#checkRevocation(about.grant, call.flight, seen, kept);
      if (call.flight?.state === 'on its way') call.flight.state = 'answered';
      const isBare = about.code !== null && this.#state.bareCodes.has(about.code);
      const given = isBare ? withoutRefreshToken(body) : body;
      const sent = tokens === null ? given : this.#changed(about, given);
      this.#answer(call, { status: response.status, headers: response.headers, body: sent, tokens });
    };
    act().catch((error: unknown) => judge.violated(`the simulator failed: ${String(error)}`));
    scheduler.after(0, null, 'provider acts', () => {
      if (!answered) judge.violated('the simulator did not answer at once');
      coverage.count('provider calls');
    });
  }

  /** Which fault the provider itself has with this request. */
  #effectFor(grant: JudgedGrant | undefined): FaultEffect | null {
    if (this.#state.isLying()) {
      if (grant !== undefined) {
        // One refusal must not kill: only a second one, after a pause, may.
        const again = this.#state.judge.refusedWithoutCause(grant, secondLookMs);
        if (again) grant.excuses.set('lied', this.#state.scheduler.now);
        this.#chances.putOff(grant);
      }
      return { kind: 'error', error: 'invalid_grant' };
    }
    if (this.#strikes('throttle', true, 0.06)) {
      if (grant !== undefined) this.#chances.putOff(grant);
      return { kind: 'throttle' };
    }
    if (this.#strikes('status_before', true))
      return { kind: 'status', status: this.#dice.pick([500, 503]), when: 'before' };
    if (this.#strikes('status_after', true))
      return { kind: 'status', status: this.#dice.pick([500, 502]), when: 'after' };
    return null;
  }

  #answer(
    call: Call,
    answer: {
      status: number;
      headers: Headers;
      body: Buffer;
      tokens: { grant: JudgedGrant; refreshToken: string } | null;
    },
  ): void {
    const { judge } = this.#state;
    const { tokens } = answer;
    const isToken = call.flight !== null || tokens !== null;
    const lost = (): void => {
      if (tokens !== null) judge.lost(tokens.grant, tokens.refreshToken);
    };
    if (tokens !== null && answer.status >= 500) lost();
    if (call.ended || call.life.dead) {
      lost();
      call.over();
      return;
    }
    if (this.#strikes('hang', isToken)) {
      lost();
      return;
    }
    if (this.#strikes('reset_after', isToken)) {
      lost();
      call.arriveAfter(this.#state, this.#dice.between(1, 5_000), 'reset', () => call.fail(lostConnection()));
      return;
    }
    const slow = this.#strikes('slow_answer', isToken);
    const ms = slow ? this.#dice.between(2_000, 95_000) : this.#dice.between(2, 150);
    const cut = this.#strikes('cut', isToken);
    call.onDrop = lost;
    if (call.flight === null && tokens !== null && this.#strikes('lost_consent', true, 0.5)) {
      call.life.storeDownUntil = this.#state.scheduler.now + ms + this.#dice.between(500, 25_000);
    }
    call.arriveAfter(this.#state, ms, `answer ${answer.status}`, () => {
      if (tokens !== null && !cut && answer.status < 500) this.#arrived(call.life, tokens, call.flight === null);
      if (tokens !== null && cut) lost();
      call.succeed(responseOf(answer, cut));
    });
  }

  /** Which refresh token the provider made, by its own book: the answer may be replaced by a fault. */
  #learn(about: About, body: Buffer, seen: number): { grant: JudgedGrant; refreshToken: string } | null {
    if (!about.isToken || about.grant === undefined) return null;
    const { spent, sentAt } = about;
    const event = this.#simulator.history.events(seen).findLast((each) => each.kind === 'token');
    if (event?.outcome !== 'issued' || event.family === undefined) return null;
    const current = this.#simulator.currentRefreshToken(event.family);
    if (current === null) return null;
    const { judge } = this.#state;
    judge.issued(about.grant, {
      refreshToken: current,
      accessToken: accessTokenIn(body),
      delivered: false,
      spent,
      sentAt,
      sender: about.sender,
    });
    if (about.code !== null && this.#state.bareCodes.has(about.code)) {
      judge.cameWithout(about.grant, accessTokenIn(body));
      return null;
    }
    const redeemed = about.code === null ? undefined : this.#state.redeemed.get(about.code);
    if (redeemed !== undefined) {
      const times = { begunAt: redeemed.begunAt, sentAt: redeemed.sentAt ?? sentAt };
      about.grant.consents.set(event.family, { ...times, arrivedAt: null, saved: false });
    }
    return { grant: about.grant, refreshToken: current };
  }

  /** The answer as it is sent: its tokens are whole, and other parts may be odd. */
  #changed(about: About, body: Buffer): Buffer {
    const text = body.toString('utf8');
    if (!text.startsWith('{')) return body;
    if (this.#strikes('odd_answer', about.isToken, 0.1)) return Buffer.from(oddAnswer(text, this.#dice));
    if (this.#strikes('unstorable', about.isToken, 0.1)) return Buffer.from(unstorableAnswer(text, this.#dice));
    return body;
  }

  /** A family that a replay of ours revoked must be one of which no living token had come to us. */
  #checkRevocation(grant: JudgedGrant, flight: Flight | null, seen: number, kept: readonly KnownToken[]): void {
    const { judge } = this.#state;
    const event = this.#simulator.history.events(seen).findLast((each) => each.kind === 'token');
    if (event?.outcome !== 'refused' || event.family === undefined) return;
    if (this.#simulator.family(event.family)?.revoked !== null) judge.familyRevoked(event.family);
    const killed = kept.filter(
      (token) => token.family === event.family && !this.#simulator.isAlive(token.value) && !judge.isStruck(token),
    );
    if (killed.length === 0) return;
    // The lease of this very request may have ended too soon, however often the grant was refreshed since.
    if (grant.excuses.has('wild') || (flight !== null && this.#mayOutliveLease(flight))) {
      grant.excuses.set('wild', this.#state.scheduler.now);
      judge.excuse('a replay revoked a family after a clock jumped wildly');
      return;
    }
    if (judge.newestWasOvertaken(grant)) {
      judge.excuse('a replay revoked a family whose newest answer overtook its request');
      return;
    }
    judge.violated(`a replay revoked ${nameOf(grant)}, of which a living token had arrived`);
  }

  #arrived(life: Life, tokens: { grant: JudgedGrant; refreshToken: string }, isConsent: boolean): void {
    const { judge, scheduler } = this.#state;
    const attemptId = isConsent ? null : judge.openAttempt(tokens.grant, life.owner?.id ?? '');
    judge.arrived(tokens.grant, tokens.refreshToken, attemptId);
    const consent = isConsent ? tokens.grant.consents.get(judge.familyOf(tokens.refreshToken) ?? '') : undefined;
    if (consent !== undefined) consent.arrivedAt = scheduler.now;
    const carried = this.carried.get(life) ?? [];
    carried.push({ ...tokens, attemptId, at: this.#state.scheduler.now, pausedMs: life.pausedMs });
    this.carried.set(life, carried);
  }

  #grantOf(parameters: URLSearchParams): JudgedGrant | undefined {
    const refreshToken = parameters.get('refresh_token');
    if (refreshToken !== null) return this.#state.judge.ownerOf(refreshToken);
    const code = parameters.get('code');
    return code === null ? undefined : this.#state.codes.get(code);
  }

  /** I1: where a second request could kill the grant, there is never one while the first is under way. */
  #takeOff(grant: JudgedGrant, life: Life, parameters: URLSearchParams): Flight {
    const { judge, scheduler, coverage } = this.#state;
    const refreshToken = parameters.get('refresh_token') ?? '';
    const flight: Flight = { grant, life, refreshToken, sentAt: scheduler.now, state: 'on its way' };
    for (const other of this.#traffic.flights) {
      if (other.grant !== grant || other.state === 'over') continue;
      // A new authorization does not wait for what is under way for the old one.
      if (judge.familyOf(other.refreshToken) !== judge.familyOf(refreshToken)) continue;
      if (!this.#state.isStrict(grant)) coverage.count('replays beside a request under way');
      else if (!isUnderWay(other, scheduler.now)) continue;
      else if (this.#mayOutliveLease(other)) judge.excuse('two requests, the first from before a clock jumped wildly');
      else {
        judge.violated(
          `I1: two requests for ${grant.tenant}/${grant.provider} were under way, of ${other.life.name} and ${life.name}`,
        );
      }
    }
    if (grant.row?.state === 'reauthorization_required') grant.requestsWhileCondemned += 1;
    scheduler.note(life, `sends a refresh for ${grant.tenant}/${grant.provider}`);
    this.#traffic.flights.add(flight);
    judge.sent(grant);
    return flight;
  }

  /** A lease that was taken before the clock jumped wildly may be over at once, or last for an hour. */
  #mayOutliveLease({ sentAt }: Flight): boolean {
    return sentAt <= this.#state.jumpedWildlyAt + claimedBeforeMsMax;
  }

  #strikes(kind: Parameters<WorldState['strikes']>[0], applies: boolean, share = 0.08): boolean {
    return applies && this.#state.strikes(kind, share);
  }
}

/** Not yet looked at by the provider, or its answer on the way to a process that waits for it. */
function isUnderWay(flight: Flight, now: number): boolean {
  if (flight.state === 'on its way') return !flight.life.dead;
  return !flight.life.dead && !flight.life.paused && now - flight.sentAt < 90_000;
}

function accessTokenIn(body: Buffer): string {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'));
    const token: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'access_token') : null;
    return typeof token === 'string' ? token : '';
  } catch {
    return '';
  }
}

function withoutRefreshToken(body: Buffer): Buffer {
  return Buffer.from(body.toString('utf8').replace(/"refresh_token"\s*:\s*"[^"]*",?/, ''));
}

function responseOf(answer: { status: number; headers: Headers; body: Buffer }, cut: boolean): Response {
  const headers = new Headers(answer.headers);
  const bodyless = answer.status === 204 || answer.status === 304;
  if (!cut || answer.body.length === 0) {
    return new Response(bodyless ? null : new Uint8Array(answer.body), { status: answer.status, headers });
  }
  const half = answer.body.subarray(0, Math.ceil(answer.body.length / 2));
  let sent = false;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent) controller.error(lostConnection());
      else controller.enqueue(new Uint8Array(half));
      sent = true;
    },
  });
  return new Response(stream, { status: answer.status, headers });
}

function lostConnection(): Error {
  return new Error('the connection was reset');
}
