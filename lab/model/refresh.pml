/* Safety of the refresh protocol of one grant: N workers, a provider of one rotation class, a store, and faults within
   bounds. src/vault/refresh/refresh.ts describes the protocol, docs/reliability.md the results. lab/model/main.ts runs
   every configuration and knows which must hold and which must fail. The model has no time: a provider's overlap never
   ends, so it proves nothing about deadlines.

   N, R         workers, and rounds each
   CLASS        0 none | 1 timed_overlap | 2 retire_on_use | 3 strict
   FAMILY       1: a refused replay revokes the whole family
   LEASE        0 renewed: lapses when its holder is dead or paused, even while its call is under way
                1 strict: never lapses while its holder may still be calling
   CRASH LOSS PAUSE FALSE_NO RESTORE DISCONNECT   bound of each fault
   FAIL         the provider answers with a failure and has spent nothing
   LATE         the holder gives a request up before the provider looks at it
   CLOCK_BACK   the clock of the store is set back while a lease runs
   Guards, 1 in the product; 0 removes one to show that it is needed:
   FENCE        a save must name the current fence and generation
   PARK         an answer that cannot be saved is parked as a candidate, and can revive a given-up grant
   SPOOL        an answer survives the crash of its holder
   SUSPECT      a first refusal is confirmed before it ends the grant
   SUSPECT_LOST the same after a lost answer at a strict provider
   KEEP_LEASE   a strict lease outlives a request that was given up without an answer
   CUT_LEASE    a lease that lies too far ahead lasts one full lease more, and does not end at once
   SAVE_FIRST   tokens are used only after they were saved
   OLDER_LAST   a candidate for an older generation waits until the stored token was refused
   QUARANTINE   a restored store spends nothing
   LOOK_AGAIN   the lease is checked again immediately before the request is written
   TOMBSTONE    a disconnect advances the fence and refuses late answers                                              */
#ifndef N
#define N 2
#endif
#ifndef R
#define R 2
#endif

/* The provider. Tokens are numbered as they are made; 0 is no token. */
byte cur = 1, prev = 0, made = 1;
bool revoked = false;
bool retired = false;            /* retire_on_use: the successor was used, the token before it is dead */
bool left = false;               /* the tenant disconnected: later answers must not be stored */

/* The store. */
byte stored = 1, gen = 1, fence = 0, holder = 0;
byte cand = 0, cand_gen = 0, cand_fence = 0;
byte unknown_fence = 0;          /* the newest attempt with an unknown outcome */
byte unknown_token = 0;          /* the token that it sent */
bool dead = false, suspect = false, refused_stored = false, unknown = false, tomb = false, quarantined = false;

/* Faults of each worker. */
bool busy[N + 1];                /* its request may be under way */
bool paused[N + 1];
byte crashes = 0, losses = 0, pauses = 0, false_nos = 0, restores = 0, disconnects = 0, running = 0;
byte fails = 0, lates = 0, clocks_back = 0;
byte late = 0;                   /* the token of a request that was given up and is still on its way */

/* Ghost variables; only the properties read them. */
bool answer_vanished = false;    /* a successor was issued and no process has it */
bool spent_in_quarantine = false;
bool kept_after_leaving = false;
bool received_and_lost = false;  /* an answer that had arrived was lost */
byte calls = 0, calls_max = 0;

/* Tells whether the provider would accept a token now. */
#define HONOURS(t) (t != 0 && !revoked && (t == cur || (t == prev && (CLASS == 1 || (CLASS == 2 && !retired)))))
/* A candidate is tried first when it came for the stored token, and no later request with another token may have made a
   newer successor while the provider still takes the stored token. */
#define PICK_CANDIDATE (refused_stored || OLDER_LAST == 0 || \
  (cand_gen >= gen && !((CLASS == 1 || CLASS == 2) && unknown_fence > cand_fence && unknown_token != cand)))
/* The request that was given up may still be looked at. */
#define MUST_WAIT (KEEP_LEASE == 1 && LEASE == 1 && late != 0)
/* The tokens left to try: the stored one and the candidate. */
#define WE_HOLD_A_LIVING_TOKEN (HONOURS(stored) || HONOURS(cand))

inline use_token(t) {
  /* Using the newest token retires the one before it. */
  if
  :: CLASS == 2 && t == cur -> retired = true
  :: else -> skip
  fi
}

inline ask_provider(t, answer) {
    if
    :: HONOURS(t) && false_nos < FALSE_NO -> false_nos++; answer = 0        /* refuses a valid token */
    :: CLASS == 0 && HONOURS(t) -> answer = t
    :: CLASS != 0 && HONOURS(t) ->
       if
       :: t == cur -> prev = cur; retired = false
       :: else -> skip
       fi;
       made++; cur = made; answer = cur;
       if
       :: SAVE_FIRST == 0 -> use_token(cur)
       :: else -> skip
       fi
    :: !HONOURS(t) ->
       answer = 0;
       if
       :: FAMILY == 1 && t != 0 -> revoked = true
       :: else -> skip
       fi
    fi;
    if
    :: answer != 0 && quarantined -> spent_in_quarantine = true
    :: else -> skip
    fi
}

inline keep_as_candidate(t, f, g) {
  if
  :: PARK == 1 && t != stored -> cand = t; cand_gen = g; cand_fence = f; if :: dead -> dead = false; refused_stored = true :: else -> skip fi
  :: PARK == 0 && t != stored && CLASS != 0 -> received_and_lost = true
  :: else -> skip
  fi
}

/* Writes tokens that arrived: into the row if lease and generation are still ours, else aside. */
inline save(me, t, f, g) {
  if
  :: tomb && TOMBSTONE == 1 -> skip                       /* revoked at the provider, not kept */
  :: !(tomb && TOMBSTONE == 1) && (FENCE == 0 || (f == fence && g == gen)) ->
     if :: left -> kept_after_leaving = true :: else -> skip fi;
     stored = t; gen++; dead = false; suspect = false; refused_stored = false; unknown = false;
     if :: cand == spent[me] -> cand = 0 :: else -> skip fi;
     use_token(t)
  :: else -> keep_as_candidate(t, f, g)
  fi
}

byte spent[N + 1];

/* Judges a refusal; only the holder of the current lease may. */
inline refuse(me, t, f, g) {
  other = 1; flying = false;
  if
  :: f != fence || g != gen || tomb -> skip
  :: else ->
     do
     :: other > N -> break
     :: other <= N -> if :: other != me && busy[other] -> flying = true :: else -> skip fi; other++
     od;
     if
     :: cand != 0 && cand == t -> cand = 0
     :: cand != 0 && cand != t -> refused_stored = true
     :: cand == 0 && flying -> skip
     :: cand == 0 && !flying && SUSPECT == 1 && !suspect && (SUSPECT_LOST == 1 || !(CLASS == 3 && unknown)) -> suspect = true
     :: else -> dead = true
     fi
  fi
}

proctype Worker(byte me) {
  byte t, answer, f, g, other, round;
  bool flying;
again:
  do
  :: round >= R -> break
  :: round < R ->
     round++;
     atomic {                                              /* claim: lease and intent in one transaction */
       if
       :: dead || tomb || (quarantined && QUARANTINE == 1) || holder != 0 -> goto next
       :: else ->
          other = 1;
          do                                               /* a replaced worker may still get an answer */
          :: other > N -> break
          :: other <= N -> if :: other != me && busy[other] -> unknown_fence = fence; unknown_token = spent[other] :: else -> skip fi; other++
          od;
          holder = me; fence++; f = fence; g = gen; busy[me] = true;
          if
          :: cand != 0 && (PICK_CANDIDATE) -> t = cand
          :: else -> t = stored
          fi;
          spent[me] = t
       fi
     };
     if                                                    /* before anything is sent */
     :: crashes < CRASH -> crashes++; goto crash
     :: pauses < PAUSE && LEASE == 0 -> pauses++; paused[me] = true; paused[me] = false
     :: skip
     fi;
     atomic {                                              /* point of no return */
       if
       :: LOOK_AGAIN == 1 && (holder != me || fence != f) -> busy[me] = false; goto next
       :: else -> skip
       fi;
       calls++; if :: calls > calls_max -> calls_max = calls :: else -> skip fi;
       if
       :: fails < FAIL -> fails++; unknown = true; unknown_fence = f; unknown_token = t; answer = 255; calls--; goto settle
       :: lates < LATE -> lates++; late = t; unknown = true; unknown_fence = f; unknown_token = t; answer = 255; goto settle
       :: ask_provider(t, answer)
       fi
     };
     if                                                    /* the answer is on its way */
     :: crashes < CRASH -> atomic { crashes++; calls--; unknown = true; unknown_fence = f; unknown_token = t;
          if :: answer != 0 && answer != t -> answer_vanished = true :: else -> skip fi }; goto crash
     :: losses < LOSS -> atomic { losses++; calls--; unknown = true; unknown_fence = f; unknown_token = t;
          if :: answer != 0 && answer != t -> answer_vanished = true :: else -> skip fi; answer = 255 }
     :: pauses < PAUSE && LEASE == 0 -> pauses++; paused[me] = true; paused[me] = false; calls--
     :: calls--
     fi;
     if                                                    /* spooled, not yet committed */
     :: answer != 0 && answer != 255 && crashes < CRASH ->
        atomic {
          crashes++;
          if
          :: SPOOL == 1 -> save(me, answer, f, g)          /* replayed by the next process */
          :: else -> unknown = true; if :: answer != t -> answer_vanished = true; received_and_lost = true :: else -> skip fi
          fi;
          if :: holder == me && fence == f -> holder = 0 :: else -> skip fi
        };
        goto crash
     :: else -> skip
     fi;
settle:
     atomic {                                              /* settle */
       if
       :: answer == 255 -> skip
       :: answer == 0 -> refuse(me, t, f, g)
       :: else -> save(me, answer, f, g)
       fi;
       busy[me] = false;
       if :: f == fence && holder == me && !MUST_WAIT -> holder = 0 :: else -> skip fi
     };
next:
     skip
  od;
  goto end_worker;
crash:
  atomic { busy[me] = false; t = 0; answer = 0; f = 0; g = 0 };
  goto again;
end_worker:
  atomic { running-- }
}

active proctype Clock() {
  do
  :: atomic { holder != 0 && !busy[holder] && !MUST_WAIT -> holder = 0 }       /* its holder died: it lapses */
  :: atomic { LEASE == 0 && holder != 0 && paused[holder] -> holder = 0 }      /* its holder does not renew */
  :: timeout -> break
  od
}

/* Delivers a request that its holder has given up. */
active proctype Network() {
  byte answer;
  do
  :: atomic { late != 0 -> ask_provider(late, answer); calls--;
       if :: answer != 0 && answer != late -> answer_vanished = true :: else -> skip fi; late = 0 }
  :: timeout -> break
  od
}

/* Actions of an operator or a tenant in between. */
active proctype Outside() {
  byte old_stored = 1, old_gen = 1;
  do
  :: atomic { disconnects < DISCONNECT -> disconnects++; left = true; tomb = (TOMBSTONE == 1); stored = 0; cand = 0;
       if :: TOMBSTONE == 1 -> fence++; holder = 0 :: else -> skip fi }
  :: atomic { clocks_back < CLOCK_BACK && holder != 0 -> clocks_back++;
       if :: CUT_LEASE == 0 -> holder = 0 :: else -> skip fi }
  :: atomic { restores < RESTORE -> restores++; stored = old_stored; gen = old_gen; cand = 0; dead = false;
       holder = 0; fence++; quarantined = true }
  :: timeout -> break
  od
}

init {
  atomic {
    byte i = 1;
    running = N;
    do :: i <= N -> run Worker(i); i++ :: else -> break od
  };
  running == 0;
#ifdef P1 /* No false death: a given-up grant was over, or its successor had vanished. */
  assert(!(dead && !answer_vanished && WE_HOLD_A_LIVING_TOKEN));
#endif
#ifdef P2 /* The vault never makes the provider revoke a family of which no answer vanished. */
  assert(!(revoked && !answer_vanished));
#endif
#ifdef P3 /* A living grant's newest token is in the row or kept aside. */
  assert(revoked || answer_vanished || tomb || left || quarantined || stored == cur || cand == cur);
#endif
#ifdef P4 /* The grant survives even vanished answers. */
  assert(!revoked && !dead && (tomb || left || WE_HOLD_A_LIVING_TOKEN));
#endif
#ifdef P5 /* Nothing is stored for a tenant that has left. */
  assert(!kept_after_leaving);
#endif
#ifdef P6 /* A restored or cloned store spends nothing. */
  assert(!spent_in_quarantine);
#endif
#ifdef P8 /* An answer that arrived is not lost. */
  assert(!received_and_lost);
#endif
#ifdef P7 /* One request at a time. */
  assert(calls_max <= 1);
#endif
}
