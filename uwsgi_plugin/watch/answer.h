/* answer.h: what only the application knows of the request on a core: it tells when it is asked, into the core's note. */
#ifndef HK_ANSWER_H
#define HK_ANSWER_H

int hk_answer_ask(int worker); /* 0: it will answer */
void hk_answer_wait(int worker, int core);

#endif
