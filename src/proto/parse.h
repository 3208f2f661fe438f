/* parse - what every resumable reader of this folder answers. */
#ifndef TENURE_PROTO_PARSE_H
#define TENURE_PROTO_PARSE_H

enum proto_parse {
    PARSE_MORE, /* not complete yet: come again with the same bytes and more behind them */
    PARSE_DONE, /* complete */
    PARSE_BAD,  /* no bytes that may follow can make it right */
};

#endif
