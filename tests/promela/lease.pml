/* lease - the voted lease of docs/quorum.md on three nodes, for spin.
 *
 * What is checked, in every order of events:
 *   P1  the token of a grant is above all that were granted before it was asked for, and is no
 *       other grant's
 *   P2  no two clients believe to hold at the same time
 *
 * Messages are a soup: what was sent once may be carried out at any later time, any number of
 * times, or never: late, doubled, lost and out of order.  A client may count a yes at any later
 * time. Tokens are any numbers that a client has not used: clocks do not matter to them.
 *
 * Leases: a vote may run out at any time but one: while its client still counts on it.  That is
 * what clocks of nearly the same rate give, and all that is assumed of them.  With UNTIMED not
 * even that: votes run out at any time, P1 alone is checked, and nothing is forgotten.
 *
 * One node may restart, with its memory or without.  It is let in when no client counts on a vote
 * of before (quarantine), above the highest token that the two others have voted for (floor).
 *
 *   CLIENTS  2 or 3     TOKENS  the highest, at most 7     CRASH  0 none, 1 kept, 2 forgotten
 *   HEAL  1: a holder renews and heals
 *   BREAK_…  one rule left out: then spin must find an error */
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef TOKENS
#define TOKENS 4
#endif
#ifndef HEAL
#define HEAL 0
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifdef BREAK_MAJORITY
#define MAJORITY 1
#else
#define MAJORITY 2
#endif

#define NODES   3
#define NOBODY  255
#define PAIR(c, n) ((c) * NODES + (n))
#define BIT(x)  (1 << (x))

/* nodes */
byte holder[NODES];
byte htoken[NODES];
byte fence[NODES];
byte ended[NODES];
byte floor[NODES];
byte voted[NODES];
bool is_in[NODES];
bool has_crashed;

/* clients */
byte token[CLIENTS];      /* proposed; 0: none yet */
byte before[CLIENTS];     /* the highest that was granted when it asked */
byte counted[CLIENTS];    /* nodes whose votes it counts, or may yet */
bool is_asking[CLIENTS];
bool is_holding[CLIENTS];

/* messages: bit t: for token t */
byte vote[CLIENTS * NODES];
byte yes[CLIENTS * NODES];
byte release[CLIENTS * NODES];
byte heal[CLIENTS * NODES];

byte granted;     /* bit t: token t was granted */
byte highest;     /* of the granted */

/* Does the client count a yes of this node? */
#ifdef BREAK_MIX
#define SAID_YES(c, n) (yes[PAIR(c, n)] != 0 -> 1 : 0)
#else
#ifdef BREAK_INFER
#define SAID_YES(c, n) ((yes[PAIR(c, n)] & BIT(token[c])) != 0 || fence[n] == token[c] -> 1 : 0)
#else
#define SAID_YES(c, n) ((yes[PAIR(c, n)] & BIT(token[c])) != 0 -> 1 : 0)
#endif
#endif

/* A client asks for a token that it has not used. */
inline ask(c, t)
{
    !is_asking[c] && !is_holding[c] && t > token[c] ->
    token[c] = t;
    before[c] = highest;
    counted[c] = 0;
    is_asking[c] = true;
    n = 0;
    do
    :: n < NODES -> vote[PAIR(c, n)] = vote[PAIR(c, n)] | BIT(t); n++
    :: else -> break
    od;
    n = 0
}

/* A node votes. */
inline serve_vote(c, n, t)
{
    (vote[PAIR(c, n)] & BIT(t)) != 0 && is_in[n] ->
    if
    :: holder[n] == c && htoken[n] == t ->
        yes[PAIR(c, n)] = yes[PAIR(c, n)] | BIT(t)
#ifdef BREAK_FENCE
    :: (holder[n] == NOBODY || (holder[n] == c && htoken[n] < t)) ->
#else
    :: (holder[n] == NOBODY || (holder[n] == c && htoken[n] < t)) && t > fence[n] &&
           t > floor[n] ->
#endif
        holder[n] = c;
        htoken[n] = t;
        if
        :: t > fence[n] -> fence[n] = t
        :: else
        fi;
        if
        :: t > voted[n] -> voted[n] = t
        :: else
        fi;
        yes[PAIR(c, n)] = yes[PAIR(c, n)] | BIT(t);
        if
        :: token[c] == t && (is_asking[c] || is_holding[c]) -> counted[c] = counted[c] | BIT(n)
        :: else
        fi
    :: else
    fi
}

inline grant(c)
{
    is_asking[c] ->
    y = SAID_YES(c, 0) + SAID_YES(c, 1) + SAID_YES(c, 2);
    if
    :: y >= MAJORITY ->
        assert(token[c] > before[c]);
        assert((granted & BIT(token[c])) == 0);
        granted = granted | BIT(token[c]);
        if
        :: token[c] > highest -> highest = token[c]
        :: else
        fi;
        is_asking[c] = false;
        is_holding[c] = true;
#ifndef UNTIMED
        n = 0;
        do
        :: n < CLIENTS -> assert(n == c || !is_holding[n]); n++
        :: else -> break
        od;
        n = 0
#endif
    :: else
    fi;
    y = 0
}

/* It renews on a majority: from now on it counts on those nodes, and may heal the others. */
inline renew(c)
{
    is_holding[c] ->
    y = 0;
    x = 0;
    n = 0;
    do
    :: n < NODES ->
        if
        :: holder[n] == c && htoken[n] == token[c] && is_in[n] -> y = y | BIT(n); x++
        :: else
        fi;
        n++
    :: else -> break
    od;
    if
    :: x >= MAJORITY ->
        counted[c] = y;
        n = 0;
        do
        :: n < NODES && HEAL ->
            if
            :: (y & BIT(n)) == 0 -> heal[PAIR(c, n)] = heal[PAIR(c, n)] | BIT(token[c])
            :: else
            fi;
            n++
        :: else -> break
        od
    :: else
    fi;
    n = 0;
    x = 0;
    y = 0
}

inline serve_heal(c, n, t)
{
    (heal[PAIR(c, n)] & BIT(t)) != 0 && is_in[n] && holder[n] == NOBODY && t > ended[n] ->
    holder[n] = c;
    htoken[n] = t;
    if
    :: t > fence[n] -> fence[n] = t
    :: else
    fi;
    if
    :: t > voted[n] -> voted[n] = t
    :: else
    fi
}

/* It gives up, gives back, or its time is over; it may tell the nodes. */
inline stop(c)
{
    is_asking[c] || is_holding[c] ->
    n = 0;
    do
    :: n < NODES -> release[PAIR(c, n)] = release[PAIR(c, n)] | BIT(token[c]); n++
    :: else -> break
    od;
    n = 0;
    is_asking[c] = false;
    is_holding[c] = false;
    counted[c] = 0
}

inline serve_release(c, n, t)
{
    (release[PAIR(c, n)] & BIT(t)) != 0 ->
    if
    :: t > fence[n] -> fence[n] = t
    :: else
    fi;
    if
    :: t > ended[n] -> ended[n] = t
    :: else
    fi;
    if
#ifdef BREAK_OWNER
    :: holder[n] != NOBODY -> holder[n] = NOBODY; htoken[n] = 0
#else
    :: holder[n] == c && htoken[n] <= t -> holder[n] = NOBODY; htoken[n] = 0
#endif
    :: else
    fi
}

inline expire(n)
{
#ifdef UNTIMED
    holder[n] != NOBODY ->
#else
    holder[n] != NOBODY && (counted[holder[n]] & BIT(n)) == 0 ->
#endif
    holder[n] = NOBODY;
    htoken[n] = 0
}

/* Connections break: what was on its way to it is lost; what it said is not. */
inline crash(n)
{
    CRASH != 0 && !has_crashed && is_in[n] ->
    has_crashed = true;
#ifndef BREAK_QUARANTINE
    is_in[n] = false;
#endif
    x = 0;
    do
    :: x < CLIENTS ->
        vote[PAIR(x, n)] = 0;
        release[PAIR(x, n)] = 0;
        heal[PAIR(x, n)] = 0;
        x++
    :: else -> break
    od;
    x = 0;
    if
    :: CRASH == 2 ->
        holder[n] = NOBODY;
        htoken[n] = 0;
        fence[n] = 0;
        ended[n] = 0;
        voted[n] = 0
    :: else
    fi
}

inline admit(n)
{
#if CLIENTS == 3
    !is_in[n] && ((counted[0] | counted[1] | counted[2]) & BIT(n)) == 0 ->
#else
    !is_in[n] && ((counted[0] | counted[1]) & BIT(n)) == 0 ->
#endif
    x = (n + 1) % NODES;
    y = (n + 2) % NODES;
#ifndef BREAK_FLOOR
    if
    :: voted[x] > voted[y] -> floor[n] = voted[x]
    :: else -> floor[n] = voted[y]
    fi;
    if
    :: floor[n] > voted[n] -> voted[n] = floor[n]
    :: else
    fi;
#endif
    is_in[n] = true;
    x = 0;
    y = 0
}

init
{
    byte n, c, t, x, y;
    atomic {
        n = 0;
        do
        :: n < NODES -> holder[n] = NOBODY; is_in[n] = true; n++
        :: else -> break
        od;
        n = 0
    }
    do
    :: atomic { select(c : 0 .. CLIENTS - 1); select(t : 1 .. TOKENS);
          if :: ask(c, t) :: else fi; c = 0; t = 0 }
    :: atomic { select(c : 0 .. CLIENTS - 1); if :: grant(c) :: else fi; c = 0 }
    :: atomic { select(c : 0 .. CLIENTS - 1); if :: stop(c) :: else fi; c = 0 }
#if HEAL
    :: atomic { select(c : 0 .. CLIENTS - 1); if :: renew(c) :: else fi; c = 0 }
#endif
    :: atomic { select(c : 0 .. CLIENTS - 1); select(x : 0 .. NODES - 1); select(t : 1 .. TOKENS);
          n = x; x = 0; if :: serve_vote(c, n, t) :: else fi; n = 0; c = 0; t = 0 }
#if HEAL
    :: atomic { select(c : 0 .. CLIENTS - 1); select(x : 0 .. NODES - 1); select(t : 1 .. TOKENS);
          n = x; x = 0; if :: serve_heal(c, n, t) :: else fi; n = 0; c = 0; t = 0 }
#endif
    :: atomic { select(c : 0 .. CLIENTS - 1); select(x : 0 .. NODES - 1); select(t : 1 .. TOKENS);
          n = x; x = 0; if :: serve_release(c, n, t) :: else fi; n = 0; c = 0; t = 0 }
    :: atomic { select(x : 0 .. NODES - 1); n = x; x = 0; if :: expire(n) :: else fi; n = 0 }
    :: atomic { select(x : 0 .. NODES - 1); n = x; x = 0; if :: crash(n) :: else fi; n = 0 }
    :: atomic { select(x : 0 .. NODES - 1); n = x; x = 0; if :: admit(n) :: else fi; n = 0 }
    od
}
