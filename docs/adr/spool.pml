/* The spool's protocol: writers, senders that change over, kills at any step, and the fold of the ledger.
 *
 * Explained in 0008-a-model-of-the-spool.rst. Checked by tests/functional/spool/test_model.py:
 *   spin -a spool.pml && gcc -O2 -o pan pan.c && ./pan -m100000
 *
 * One event a writer. A step is what the kernel does whole: a rename, an unlink, a write of 512 bytes, an flock. Between any
 * two steps a process may be killed, KILLS times in all.
 *
 * -DSWAPPED, -DNAMELESS, -DUNLOCKED: faults that are built in, for the test to see that they are found.
 */
#define WRITERS 2
#define SENDERS 2          /* who may run at once; each is started again after a kill, with a ledger file of its own */
#define LIVES 2            /* of each sender */
#ifndef KILLS
#define KILLS 2
#endif
#define FILES (WRITERS + SENDERS * LIVES)
#define NOBODY 255

mtype = { absent, half, waiting, gone };
mtype file[WRITERS] = absent;      /* tmp/ (half), new/ (waiting) */
bool returned[WRITERS];            /* put() said True: from here on the event must not be lost */
byte received[WRITERS];            /* how often the server has it */
byte resent;                       /* kills between the server's answer and the unlink */

/* state/ledger: the files of processes, and total, which names those that it holds already */
bool exists[FILES]; bool dead[FILES]; byte captured[FILES]; byte delivered[FILES];
byte total_captured, total_delivered; bool named[FILES];
byte true_captured, true_delivered;         /* what was counted, by whoever */

byte holder = NOBODY;              /* of state/sender.lock: the kernel frees it when its holder dies */
byte kills;

/* Every reader, at every moment: each file counts once, be it in total or not. */
#define ADDS_UP(sum_c, sum_d) (sum_c == true_captured && sum_d == true_delivered)

inline check_ledger() {
    d_step {
        byte k, sum_c, sum_d;
        sum_c = total_captured; sum_d = total_delivered;
        for (k : 0 .. FILES - 1) {
            if
            :: exists[k] && !named[k] -> sum_c = sum_c + captured[k]; sum_d = sum_d + delivered[k]
            :: else
            fi
        }
        assert(ADDS_UP(sum_c, sum_d));
        k = 0; sum_c = 0; sum_d = 0;
    }
}

/* No event that put() took is nowhere; the server has none twice but for a kill between its answer and the unlink. */
inline check_events() {
    d_step {
        byte n, twice;
        for (n : 0 .. WRITERS - 1) {
            assert(!returned[n] || file[n] == waiting || received[n] > 0);
            assert(file[n] != gone || received[n] > 0);
            if
            :: received[n] > 1 -> twice = twice + received[n] - 1
            :: else
            fi
        }
        assert(twice <= resent);
        n = 0; twice = 0;
    }
}

/* A kill, perhaps: what is on disk stays, the lock is free. */
#define MAY_DIE(id, label) \
    if \
    :: kills < KILLS -> atomic { kills++; dead[id] = true; if :: holder == id -> holder = NOBODY :: else fi }; goto label \
    :: true \
    fi

proctype Writer(byte id) {
    exists[id] = true;                                         /* open, O_EXCL; its counts are zero until it is written */
    MAY_DIE(id, end);
    atomic { captured[id]++; true_captured++ };                /* pwrite */
    MAY_DIE(id, end);
    file[id] = half;
    MAY_DIE(id, end);
    atomic { file[id] = waiting; };                            /* rename */
    MAY_DIE(id, end);
    returned[id] = true;
    atomic { dead[id] = true };                                /* it ends in order */
end:
    skip
}

inline fold(id) {
    /* read total: values and names; whoever is named and still there is removed again */
    d_step {
        sum_captured = total_captured; sum_delivered = total_delivered;
        for (f : 0 .. FILES - 1) { left[f] = named[f]; added[f] = false; }
        f = 0;
    }
    for (f : 0 .. FILES - 1) {
        if
        :: left[f] -> exists[f] = false; left[f] = false; MAY_DIE(id, died)
        :: else
        fi
    }
    for (f : 0 .. FILES - 1) {
        if
        :: exists[f] && dead[f] ->
            atomic { sum_captured = sum_captured + captured[f]; sum_delivered = sum_delivered + delivered[f]; added[f] = true };
#ifdef SWAPPED
            exists[f] = false;                                 /* removed before total has it */
            MAY_DIE(id, died)
#endif
        :: else
        fi
    }
    /* rename a new total over the old one: values and names at once */
    atomic {
        total_captured = sum_captured; total_delivered = sum_delivered;
#ifndef NAMELESS
        for (f : 0 .. FILES - 1) { named[f] = added[f] }
        f = 0;
#endif
    }
    MAY_DIE(id, died);
    for (f : 0 .. FILES - 1) {
        if
        :: added[f] -> exists[f] = false; MAY_DIE(id, died)
        :: else
        fi
    }
    atomic {                                                   /* and once more, without the names of what is gone */
        for (f : 0 .. FILES - 1) { named[f] = false }
        f = 0;
    }
    MAY_DIE(id, died)
}

proctype Sender(byte slot) {
    byte life, id, e, f, sum_captured, sum_delivered;
    bool left[FILES], added[FILES], took;
again:
    id = WRITERS + slot * LIVES + life;
#ifdef UNLOCKED
    holder = id;
#else
    atomic { holder == NOBODY -> holder = id };                /* flock; who does not get it waits */
#endif
    exists[id] = true;
    MAY_DIE(id, died);
    fold(id);
    for (e : 0 .. WRITERS - 1) {
        if
        :: file[e] == waiting ->                               /* read */
            MAY_DIE(id, died);
            received[e]++;                                     /* the server has it */
            if                                                 /* the answer is lost, or we are */
            :: kills < KILLS ->
                atomic { kills++; resent++; dead[id] = true; if :: holder == id -> holder = NOBODY :: else fi };
                goto died
            :: true
            fi;
            atomic { took = (file[e] == waiting); if :: took -> file[e] = gone :: else fi };    /* unlink */
            MAY_DIE(id, died);
            if
            :: took -> atomic { delivered[id]++; true_delivered++ }
            :: else
            fi;
            MAY_DIE(id, died)
        :: else
        fi
    }
    atomic { dead[id] = true; holder = NOBODY };               /* it stops in order */
    goto stopped;
died:
    life++;
    if
    :: life < LIVES -> goto again
    :: else
    fi;
stopped:
    skip
}

init {
    byte i;
    atomic {
        for (i : 0 .. WRITERS - 1) { run Writer(i) }
        for (i : 0 .. SENDERS - 1) { run Sender(i) }
    }
}

/* Looked at between any two steps of the others. */
active proctype Reader() {
end:
    do
    :: check_ledger()
    :: check_events()
    od
}
