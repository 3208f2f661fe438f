/* lease - the voted lease of docs/quorum.md on three nodes, for spin.  tests/promela/run runs it.
 *
 * What is checked, in every order of events:
 *   P1     a grant's token is above all that were granted before it was asked for, and is no other
 *          grant's
 *   P2     no two clients believe to hold at the same time
 *   GHOST  what was ended on a node does not come back there
 *
 * Messages are a soup.  What was sent once may be carried out at any later time, any number of
 * times, or never: late, doubled, lost, out of order.  So a message needs no memory but that of its
 * having been sent: a vote for a token that its client has asked for, a release of one that it is
 * done with, a heal of one that it was granted.  A yes may be counted at any later time, or never.
 *
 * Tokens are any numbers that a client has not used before; clocks do not matter to them.  All
 * attempts of a client have one owner, which is harder than a fresh one each time.
 *
 * Time: a vote may run out whenever its client does not count on it.  That is what clocks of nearly
 * the same rate give, and all that is assumed of them.  A client gives up, crashes or comes to the
 * end of its lease at any time.  UNTIMED: votes run out at any time, and P1 alone is checked.
 *
 * CRASH: the first node restarts once, 1: with its memory, 2: without.  It votes again when no
 * client counts on a vote of before (quarantine), above the highest token that the two others have
 * voted for (floor), who are asked one after the other.
 *
 *   CLIENTS  2 or 3     TOKENS  the highest, 2 … 4     UNRENEWED  nobody renews or heals
 *   BREAK_…  one rule is left out */
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef TOKENS
#define TOKENS 2
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifdef BREAK_MAJORITY
#define MAJORITY 1
#else
#define MAJORITY 2
#endif

#define NOBODY        0 /* the owner of client c is c + 1 */
#define BIT(x)        (1 << (x))
#define HAS(set, x)   (((set) >> (x)) & 1)
#define COUNT(set)    (HAS(set, 0) + HAS(set, 1) + HAS(set, 2))
#define RAISE(mark, t) if :: (t) > mark -> mark = (t) :: else fi
#if CLIENTS == 2
#define FOR_ALL(of, and) (of(0) and of(1))
#else
#define FOR_ALL(of, and) (of(0) and of(1) and of(2))
#endif

/* ---- nodes: the lock's key, its token, the fence (the floor is in it), the highest token that is
 * known to have ended */
byte owner[3];
byte token[3];
byte fence[3];
byte ended[3];
#if CRASH
bool is_out; /* the first node does not vote */
bool has_crashed;
byte voted[3];
byte told; /* how many of the two others have told what they voted for */
byte floor;
#define IS_OUT(n) ((n) == 0 && is_out)
#define NOTE_VOTED(n, t) if :: (n) > 0 && (t) > voted[n] -> voted[n] = (t) :: else fi
#else
#define IS_OUT(n) 0
#define NOTE_VOTED(n, t) skip
#endif
#ifdef GHOST
byte gone[2]; /* the tokens of each client that were ended on the first node */
#endif

/* ---- clients */
#define IDLE    0
#define ASKING  1
#define HOLDING 2
byte phase[CLIENTS];
byte mine[CLIENTS];    /* the token proposed last */
byte before[CLIENTS];  /* asking: the highest that was granted when it began */
byte yes[CLIENTS];     /* nodes whose votes it counts on, or may yet */
byte renewed[CLIENTS]; /* the same for the renewal under way */
byte asked[CLIENTS];   /* all tokens that it ever proposed */
byte won[CLIENTS];     /* those that were granted */
byte highest;          /* of all that were granted */

#define IS_MINE(c, n, t)   (owner[n] == (c) + 1 && token[n] == (t))
#define IS_ACTIVE(c, t)    (phase[c] != IDLE && mine[c] == (t))
#define IS_HOLDING(c)      (phase[c] == HOLDING)
#define HAS_WON(c)         won[c]
#define COUNTS_ON(c)       (yes[c] | renewed[c])

/* ---- what is alike is looked at once: clients begin in order, nodes are kept in order */
#define IS_NEXT(c) ((c) == 0 || asked[c] != 0 || asked[(c) - ((c) > 0)] != 0)

hidden byte x;
#define SWAP(what, i, j) x = what[i]; what[i] = what[j]; what[j] = x
#define SWAP_BITS(set, i, j) \
    if :: HAS(set, i) != HAS(set, j) -> set = set ^ (BIT(i) | BIT(j)) :: else fi
#define SWAP_OF(c, i, j) SWAP_BITS(yes[c], i, j); SWAP_BITS(renewed[c], i, j)
#define KEY_OF(c, n) ((HAS(yes[c], n) << 1 | HAS(renewed[c], n)) << 2 * (c))
#if CLIENTS == 2
#define KEY_OF_ALL(n)    (KEY_OF(0, n) | KEY_OF(1, n))
#define SWAP_ALL(i, j)   SWAP_OF(0, i, j); SWAP_OF(1, i, j)
#else
#define KEY_OF_ALL(n)    (KEY_OF(0, n) | KEY_OF(1, n) | KEY_OF(2, n))
#define SWAP_ALL(i, j)   SWAP_OF(0, i, j); SWAP_OF(1, i, j); SWAP_OF(2, i, j)
#endif
#define KEY(n) (owner[n] << 20 | token[n] << 17 | fence[n] << 14 | ended[n] << 11 | KEY_OF_ALL(n))
#if CRASH
#define SWAP_VOTED(i, j) SWAP(voted, i, j);
#else
#define SWAP_VOTED(i, j)
#endif
#define ORDER(i, j) \
    if :: KEY(i) > KEY(j) -> \
        SWAP(owner, i, j); SWAP(token, i, j); SWAP(fence, i, j); SWAP(ended, i, j); \
        SWAP_VOTED(i, j) SWAP_ALL(i, j) \
    :: else fi
#if CRASH
#define SORT if :: told != 1 -> ORDER(1, 2) :: else fi
#elif defined(GHOST)
#define SORT ORDER(1, 2)
#else
#define SORT ORDER(0, 1); ORDER(1, 2); ORDER(0, 1)
#endif

/* ---- acquire */
#ifdef BREAK_MIX /* a yes to an older token counts, too */
#define FORGET_YES(c)    skip
#define IS_COUNTED(c, t) (phase[c] == ASKING)
#else
#define FORGET_YES(c)    yes[c] = 0
#define IS_COUNTED(c, t) (phase[c] == ASKING && mine[c] == (t))
#endif
#define ASK(c, t) \
    d_step { phase[c] == IDLE && (t) > mine[c] && IS_NEXT(c) -> \
        phase[c] = ASKING; mine[c] = (t); asked[c] = asked[c] | BIT(t); \
        before[c] = highest; FORGET_YES(c) }

#ifdef BREAK_FENCE
#define IS_ABOVE(n, t) 1
#else
#define IS_ABOVE(n, t) ((t) > fence[n])
#endif
#define VOTE(c, n, t) \
    d_step { HAS(asked[c], t) && !IS_OUT(n) && IS_ABOVE(n, t) && \
             (owner[n] == NOBODY || (owner[n] == (c) + 1 && token[n] != (t))) -> \
        owner[n] = (c) + 1; token[n] = (t); RAISE(fence[n], t); NOTE_VOTED(n, t); \
        if :: IS_COUNTED(c, t) -> yes[c] = yes[c] | BIT(n) :: else fi; \
        CHECK_GHOST }

#ifdef BREAK_INFER /* a fence at our token is taken for our vote */
#define INFERRED(c, n) ((fence[n] == mine[c]) << (n))
#else
#define INFERRED(c, n) 0
#endif
#define VOTES(c) (yes[c] | INFERRED(c, 0) | INFERRED(c, 1) | INFERRED(c, 2))
#ifdef UNTIMED
#define CHECK_ALONE skip
#define COUNT_NO_MORE(c) yes[c] = 0
#else
#define CHECK_ALONE assert(!FOR_ALL(IS_HOLDING, ||))
#define COUNT_NO_MORE(c) skip
#endif
#define GRANT(c) \
    d_step { phase[c] == ASKING && COUNT(VOTES(c)) >= MAJORITY -> \
        assert(mine[c] > before[c]); \
        assert(!HAS(FOR_ALL(HAS_WON, |), mine[c])); \
        CHECK_ALONE; \
        phase[c] = HOLDING; won[c] = won[c] | BIT(mine[c]); RAISE(highest, mine[c]); \
        before[c] = 0; COUNT_NO_MORE(c) }

/* ---- renew, heal */
#ifdef UNTIMED /* what it counts on does not matter then */
#define RENEW(c, n) \
    d_step { phase[c] == HOLDING && IS_MINE(c, n, mine[c]) && !IS_OUT(n) && \
             ended[n] < mine[c] - 1 -> \
        ended[n] = mine[c] - 1 }
#define RENEWED(c) false
#else
#define RENEW(c, n) \
    d_step { phase[c] == HOLDING && IS_MINE(c, n, mine[c]) && !IS_OUT(n) && !HAS(renewed[c], n) -> \
        renewed[c] = renewed[c] | BIT(n); RAISE(ended[n], mine[c] - 1) }
#define RENEWED(c) \
    d_step { phase[c] == HOLDING && COUNT(renewed[c]) >= MAJORITY -> \
        yes[c] = renewed[c]; renewed[c] = 0 }
#endif

#ifdef BREAK_HEAL /* a heal may come after the end of its hold */
#define MAY_HEAL(n, t) 1
#else
#define MAY_HEAL(n, t) ((t) > ended[n])
#endif
#define HEAL(c, n, t) \
    d_step { HAS(won[c], t) && !IS_OUT(n) && owner[n] == NOBODY && MAY_HEAL(n, t) -> \
        owner[n] = (c) + 1; token[n] = (t); \
        RAISE(fence[n], t); RAISE(ended[n], (t) - 1); NOTE_VOTED(n, t); \
        CHECK_GHOST }

/* ---- the end: it gives up, gives back, crashes, or its time is over; of this the nodes are told,
 * perhaps */
#define STOP(c) \
    d_step { phase[c] != IDLE -> \
        phase[c] = IDLE; FORGET_YES(c); renewed[c] = 0; before[c] = 0 }

#ifdef BREAK_RELEASE /* the fence stays where it is */
#define RAISE_FENCE(n, t) skip
#else
#define RAISE_FENCE(n, t) RAISE(fence[n], t)
#endif
#ifdef BREAK_OWNER /* whoever has it loses it */
#define MAY_DELETE(c, n, t) (owner[n] != NOBODY)
#elif defined(BREAK_OLDER) /* newer votes of its owner are deleted, too */
#define MAY_DELETE(c, n, t) (owner[n] == (c) + 1)
#else
#define MAY_DELETE(c, n, t) (owner[n] == (c) + 1 && token[n] <= (t))
#endif
#ifdef UNRENEWED /* only heals look at it */
#define IS_END_NEW(c, n, t) 0
#else
#define IS_END_NEW(c, n, t) (HAS(won[c], t) && ended[n] < (t))
#endif
#define RELEASE(c, n, t) \
    d_step { HAS(asked[c], t) && !IS_ACTIVE(c, t) && \
             (MAY_DELETE(c, n, t) || fence[n] < (t) || IS_END_NEW(c, n, t)) -> \
        RAISE_FENCE(n, t); \
        if :: IS_END_NEW(c, n, t) -> ended[n] = (t) :: else fi; \
        if :: MAY_DELETE(c, n, t) -> owner[n] = NOBODY; token[n] = 0 :: else fi; \
        NOTE_GONE(c, n, t) }
#ifdef GHOST
#define NOTE_GONE(c, n, t) if :: (n) == 0 -> gone[c] = gone[c] | BIT(t) :: else fi
#define IS_GHOST(c) (owner[0] == (c) + 1 && HAS(gone[c], token[0]))
#define CHECK_GHOST assert(!FOR_ALL(IS_GHOST, ||))
#else
#define NOTE_GONE(c, n, t) skip
#define CHECK_GHOST skip
#endif

/* ---- time */
#if defined(UNTIMED) || defined(BREAK_TIME)
#define IS_NEEDED(c, n) 0
#else
#define IS_NEEDED(c, n) HAS(COUNTS_ON(c), n)
#endif
#define EXPIRE(c, n) \
    d_step { owner[n] == (c) + 1 && !IS_NEEDED(c, n) -> owner[n] = NOBODY; token[n] = 0 }

/* ---- a restart */
#if CRASH == 2
#define FORGET owner[0] = NOBODY; token[0] = 0; fence[0] = 0; ended[0] = 0
#else
#define FORGET skip
#endif
#ifdef BREAK_QUARANTINE
#define IS_RIPE 1
#else
#define IS_RIPE !HAS(FOR_ALL(COUNTS_ON, |), 0)
#endif
#ifdef BREAK_FLOOR
#define RAISE_FLOOR skip
#else
#define RAISE_FLOOR RAISE(fence[0], floor)
#endif

/* ---- whatever may happen, happens */
#ifdef UNRENEWED
#define RENEWALS_AT(c, n)
#define RENEWALS_OF(c)
#else
#define RENEWALS_AT(c, n) :: RENEW(c, n) WITH_TOKENS(HEAL, c, n)
#define RENEWALS_OF(c) :: RENEWED(c)
#endif
#define AT_NODE(c, n) :: EXPIRE(c, n) RENEWALS_AT(c, n) \
    WITH_TOKENS(VOTE, c, n) WITH_TOKENS(RELEASE, c, n)
#define OF_CLIENT(c) :: GRANT(c) :: STOP(c) RENEWALS_OF(c) ASK_TOKENS(c) \
    AT_NODE(c, 0) AT_NODE(c, 1) AT_NODE(c, 2)
#if TOKENS == 2
#define WITH_TOKENS(step, c, n) :: step(c, n, 1) :: step(c, n, 2)
#define ASK_TOKENS(c) :: ASK(c, 1) :: ASK(c, 2)
#elif TOKENS == 3
#define WITH_TOKENS(step, c, n) :: step(c, n, 1) :: step(c, n, 2) :: step(c, n, 3)
#define ASK_TOKENS(c) :: ASK(c, 1) :: ASK(c, 2) :: ASK(c, 3)
#else
#define WITH_TOKENS(step, c, n) \
    :: step(c, n, 1) :: step(c, n, 2) :: step(c, n, 3) :: step(c, n, 4)
#define ASK_TOKENS(c) :: ASK(c, 1) :: ASK(c, 2) :: ASK(c, 3) :: ASK(c, 4)
#endif

active proctype world()
{
end:
    do
    :: atomic {
        if
        OF_CLIENT(0)
        OF_CLIENT(1)
#if CLIENTS == 3
        OF_CLIENT(2)
#endif
#if CRASH
        :: d_step { !has_crashed -> has_crashed = true; is_out = true; FORGET }
        :: d_step { is_out && told == 0 && IS_RIPE -> told = 1; floor = voted[1] }
        :: d_step { is_out && told == 1 -> told = 2; RAISE(floor, voted[2]) }
        :: d_step { is_out && told == 2 -> is_out = false; told = 0; RAISE_FLOOR; floor = 0 }
#endif
        fi;
        d_step { SORT }
    }
    od
}
