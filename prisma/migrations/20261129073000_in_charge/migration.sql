-- Who runs the loops that keep jobs moving: one process for each part, until it is silent. Lost in a crash, which is as well
CREATE UNLOGGED TABLE "in_charge" (
    "part" TEXT NOT NULL,
    "holder" TEXT NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,
    "processes" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "in_charge_pkey" PRIMARY KEY ("part")
);
