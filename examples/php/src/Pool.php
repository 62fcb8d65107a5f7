<?php

declare(strict_types=1);

namespace Platform;

/** Licences of a pool for one version. */
final class Pool extends Entity
{
    public string $uid;
    public int $companyId;
    public string $company;
    public int $androidId;
    public int $versionId;
    public string $email;
    public string $version;
    public int $numberOfLicences;
    public int $numberOfUpgrades;
    public int $numberOfPlayers;
    public int $numberOfRenewals;
    public int $onPremise;
    public int|string $renewalDate;
    public int $isRenew;
    public int $isMonthly;
    public ?string $lastPing = null;
    public bool $upgradesAvailable;
}
