CREATE TABLE "a[31mred
line‮txt.exe" (id int, "[2Jx" text);
