-- contract: what a removed team used stays for its bill; an older version of the service writes and reads usage as before
ALTER TABLE "usage" DROP CONSTRAINT "usage_team_id_fkey";
